"""TRL's `SFTTrainer` with `assistant_only_loss`, in the peers' environment.

Variants: `padded` (its default), `rebalanced` (the same with the sampler of transformers that pads least), `packed`
(best-fit decreasing, a batch of which is one sequence with position ids), `padding_free` (a batch of whole rows in one
sequence).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset  # type: ignore[import-not-found]  # only in the peers' environment, as is trl
from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

from benchmarks.contestants.hugging_face import CountingCollator, LapCallback, load, read_chats, trainer_arguments
from benchmarks.stopwatch import Course, Stopwatch, contestant


def options(course: Course) -> dict[str, Any]:
    """What makes the variant."""
    variants: dict[str, dict[str, Any]] = {
        "padded": {"train_sampling_strategy": "sequential"},
        "rebalanced": {"train_sampling_strategy": "batch_rebalance"},
        # Blocks come sorted by the number of their rows, so their own order must not be kept.
        "packed": {"packing": True, "packing_strategy": "bfd", "train_sampling_strategy": "random"},
        # It refuses to cut rows; none is longer.
        "padding_free": {"padding_free": True, "max_length": None, "train_sampling_strategy": "sequential"},
    }
    return variants[course.variant]


def run(course: Course, stopwatch: Stopwatch) -> None:
    model, tokenizer = load(course)
    rows_per_step = course.blocks_per_step if course.variant == "packed" else course.rows_per_step
    with tempfile.TemporaryDirectory() as folder:
        arguments = trainer_arguments(course, Path(folder), rows_per_step=rows_per_step)
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**{**arguments, "max_length": course.max_length, "assistant_only_loss": True,
                              "gradient_checkpointing": False}
                           | options(course)),
            train_dataset=Dataset.from_list(read_chats(course.ordered)),
            processing_class=tokenizer,
        )  # fmt: skip
        counts = CountingCollator(trainer.data_collator)
        trainer.data_collator = counts
        trainer.add_callback(LapCallback(course, stopwatch, counts))
        trainer.train()


if __name__ == "__main__":
    contestant(run)
