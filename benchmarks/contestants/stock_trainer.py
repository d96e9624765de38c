"""`transformers.Trainer` as it comes: rows padded to the longest of their batch, logits of all tokens.

Variants: `padded` (rows as ours has them in each step), `grouped` (`group_by_length`), `rebalanced` (`batch_rebalance`:
the rows of a step are sorted by length into batches of different sizes).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from benchmarks.contestants.hugging_face import (
    CountingCollator,
    LapCallback,
    labelled_rows,
    load,
    trainer_arguments,
)
from benchmarks.stopwatch import Course, Stopwatch, contestant

SAMPLING = {"padded": "sequential", "grouped": "group_by_length", "rebalanced": "batch_rebalance"}


def run(course: Course, stopwatch: Stopwatch) -> None:
    model, tokenizer = load(course)
    counts = CountingCollator(DataCollatorForSeq2Seq(tokenizer, padding=True))
    with tempfile.TemporaryDirectory() as folder:
        arguments = trainer_arguments(course, Path(folder), rows_per_step=course.rows_per_step)
        trainer = Trainer(
            model=model,
            args=TrainingArguments(**arguments, train_sampling_strategy=SAMPLING[course.variant]),
            train_dataset=labelled_rows(course, tokenizer),
            data_collator=counts,
            processing_class=tokenizer,
            callbacks=[LapCallback(course, stopwatch, counts)],
        )
        trainer.train()


if __name__ == "__main__":
    contestant(run)
