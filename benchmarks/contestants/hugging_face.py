"""What `transformers.Trainer` and TRL's `SFTTrainer` need to be contestants: settings, tokens, a callback for laps.

Both get what our trainer has: fused AdamW, a constant rate, fp32, no gradient checkpointing, no log in between, and
where their own order of rows is not the point, the rows in the order in which ours learns them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from benchmarks.stopwatch import Course, Lap, Stopwatch

IGNORED = -100
"""Label of what is not learned."""


class CountingCollator:
    """A data collator that remembers how much it has put together; the loader may be a batch ahead of training."""

    def __init__(self, collate: Callable[[list[Any]], dict[str, Any]]) -> None:
        self._collate = collate
        self._counts: deque[tuple[int, int, int]] = deque()

    def __call__(self, examples: list[Any]) -> dict[str, Any]:
        batch = self._collate(examples)
        mask, ids = batch.get("attention_mask"), batch["input_ids"]
        # Without padding all rows stand in one, and each begins at position 0.
        rows = len(ids) if mask is not None else int((batch["position_ids"] == 0).sum())
        tokens = int(mask.sum()) if mask is not None else ids.numel()
        self._counts.append((rows, tokens, int((batch["labels"] != IGNORED).sum())))
        return batch

    def take(self, batches: int) -> tuple[int, int, int]:
        """Rows, tokens and targets of the next batches that were trained."""
        rows, tokens, targets = zip(*(self._counts.popleft() for _ in range(batches)), strict=True)
        return sum(rows), sum(tokens), sum(targets)


class LapCallback(TrainerCallback):
    """A lap is what lies between two lines of the log; while others run, training waits in the callback."""

    def __init__(self, course: Course, stopwatch: Stopwatch, counts: CountingCollator) -> None:
        self._course = course
        self._stopwatch = stopwatch
        self._counts = counts

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._stopwatch.start()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs is None or "loss" not in logs:
            return  # the summary at the end
        times = self._stopwatch.stop()
        rows, tokens, targets = self._counts.take(self._course.steps_per_lap * args.gradient_accumulation_steps)
        if not self._stopwatch.wait(Lap(*times, rows, tokens, targets, float(logs["loss"]))):
            control.should_training_stop = True


def trainer_arguments(course: Course, folder: Path, *, rows_per_step: int) -> dict[str, Any]:
    """Arguments that both trainers take; `rows_per_step` in what goes through the model as a row."""
    return {
        "output_dir": str(folder),
        "max_steps": course.steps,
        "per_device_train_batch_size": course.micro_rows,
        "gradient_accumulation_steps": max(1, rows_per_step // course.micro_rows),
        "learning_rate": course.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "optim": "adamw_torch_fused",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "use_cpu": True,
        "bf16": False,
        "seed": course.seed,
        "logging_steps": course.steps_per_lap,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def load(course: Course) -> tuple[Any, Any]:
    """Model in fp32, and tokenizer."""
    torch.set_num_threads(course.threads)
    model = AutoModelForCausalLM.from_pretrained(course.model, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(course.model)


def read_chats(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def labelled_rows(course: Course, tokenizer: Any) -> list[dict[str, list[int]]]:
    """`input_ids` and `labels` of each row in the order in which ours learns them; answers only are learned."""
    rows = []
    for chat in read_chats(course.ordered):
        encoded = tokenizer.apply_chat_template(chat["messages"], return_dict=True, return_assistant_tokens_mask=True)
        ids = encoded["input_ids"][: course.max_length]
        learned = encoded["assistant_masks"][: course.max_length]
        labels = [token if taken else IGNORED for token, taken in zip(ids, learned, strict=True)]
        rows.append({"input_ids": ids, "labels": labels})
    return rows
