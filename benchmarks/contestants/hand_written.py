"""Loops that somebody writes by hand who wants speed and nothing else: no checkpoints, no log, no way to resume.

Variants: `batches` goes over exactly the micro-batches that our trainer makes, made beforehand; `blocks` goes over
blocks of `max_length` tokens cut from all rows in a line, with the logits of all tokens, where rows see those before.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from torch.nn import functional

from arena.trainer.computing.attention import implementation_of
from arena.trainer.computing.packing import PADDED, make_packed_batches
from arena.trainer.stream.batching import MicroBatch, TokenRow, make_micro_batches
from benchmarks.contestants.hugging_face import IGNORED, labelled_rows, load
from benchmarks.stopwatch import Course, Lap, Stopwatch, contestant

Step = tuple[int, int, int, Callable[[], float]]
"""Rows, tokens and targets of a step, and what makes its gradients and returns its loss."""


def run(course: Course, stopwatch: Stopwatch) -> None:
    model, tokenizer = load(course)
    rows = labelled_rows(course, tokenizer)
    if course.variant == "batches":
        if course.attention != PADDED:
            model.set_attn_implementation(implementation_of(course.attention))
        steps = _steps_over_batches(course, model, rows, tokenizer.pad_token_id)
    else:
        steps = _steps_over_blocks(course, model, rows)
    steps = iter(list(islice(steps, course.steps)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=course.learning_rate, weight_decay=0.0, fused=True)
    model.train()
    stopwatch.start()
    while lap := list(islice(steps, course.steps_per_lap)):
        losses = []
        for *_, make_gradients in lap:
            losses.append(make_gradients())
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        times = stopwatch.stop()
        counted, tokens, targets = (sum(step[number] for step in lap) for number in range(3))  # type: ignore[misc]
        if not stopwatch.wait(Lap(*times, counted, tokens, targets, statistics.fmean(losses))):
            return


def _steps_over_batches(
    course: Course, model: torch.nn.Module, rows: list[dict[str, list[int]]], pad_id: int
) -> Iterator[Step]:
    token_rows = [
        TokenRow(
            line=number, token_ids=np.array(row["input_ids"], np.int32), trained=np.array(row["labels"]) != IGNORED
        )
        for number, row in enumerate(rows, start=1)
    ]
    for first in range(0, len(rows), course.rows_per_step):
        taken = token_rows[first : first + course.rows_per_step]
        batches = _our_batches(course, taken, pad_id)
        targets = sum(row.targets for row in taken)
        yield len(taken), sum(len(row.token_ids) for row in taken), targets, _over_batches(model, batches, targets)


def _our_batches(course: Course, rows: list[TokenRow], pad_id: int) -> list[MicroBatch]:
    device = torch.device("cpu")
    if course.attention != PADDED:
        return make_packed_batches(rows, token_budget=course.micro_tokens, device=device)
    return make_micro_batches(
        rows, token_budget=course.micro_tokens, pass_tokens=course.pass_tokens, pad_id=pad_id, device=device
    )


def _over_batches(model: torch.nn.Module, batches: list[MicroBatch], targets: int) -> Callable[[], float]:
    def make_gradients() -> float:
        total = 0.0
        for batch in batches:
            body = model.model(input_ids=batch.input_ids, use_cache=False, **batch.layout)  # type: ignore[operator]
            hidden = body.last_hidden_state
            logits = model.lm_head(hidden.flatten(0, 1).index_select(0, batch.predicting))  # type: ignore[operator]
            loss = functional.cross_entropy(logits, batch.targets, reduction="sum") / targets
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    return make_gradients


def _steps_over_blocks(course: Course, model: torch.nn.Module, rows: list[dict[str, list[int]]]) -> Iterator[Step]:
    ids = torch.tensor([token for row in rows for token in row["input_ids"]])
    labels = torch.tensor([label for row in rows for label in row["labels"]])
    starts = torch.tensor([number == 0 for row in rows for number in range(len(row["input_ids"]))])
    size = course.max_length * course.blocks_per_step
    for first in range(0, len(ids) - size + 1, size):
        blocks = [part[first : first + size].view(-1, course.max_length) for part in (ids, labels)]
        counted = int(starts[first : first + size].sum())
        yield counted, size, int((blocks[1] != IGNORED).sum()), _over_blocks(course, model, *blocks)


def _over_blocks(
    course: Course, model: torch.nn.Module, ids: torch.Tensor, labels: torch.Tensor
) -> Callable[[], float]:
    # The first token of a block stands behind nothing that could predict it.
    targets = int((labels[:, 1:] != IGNORED).sum())
    rows = course.micro_rows

    def make_gradients() -> float:
        total = 0.0
        for some, wanted in zip(torch.split(ids, rows), torch.split(labels, rows), strict=True):
            logits = model(input_ids=some, use_cache=False).logits[:, :-1]
            loss = functional.cross_entropy(logits.flatten(0, 1), wanted[:, 1:].flatten(), reduction="sum") / targets
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    return make_gradients


if __name__ == "__main__":
    contestant(run)
