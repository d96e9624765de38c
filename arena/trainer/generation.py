"""Answers of a model: greedy, many at a time, with a cache of keys and values, each up to a token that ends it.

An own loop over transformers' forward pass and cache in place of `generate`: it looks up between two tokens, so that
whoever asks can beat, pause or give up, and it leaves the model as it was. Prompts stand at the right, filled up at the
left, each with the positions that it has alone: what a prompt is answered does not depend on those beside it, but for
the rounding of sums.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import LogitsProcessor, PreTrainedModel

from arena.trainer.healing.out_of_memory import OutOfMemory, release_memory, unless_out_of_memory

logger = logging.getLogger(__name__)

MOST_ROWS = 64
"""Prompts that are answered together at most, unless a `Manner` says less."""
FILLING = 0
"""The token before shorter prompts: any will do, as nothing looks at it."""


def _no_processors(prompt_tokens: int) -> list[LogitsProcessor]:
    return []


@dataclass(frozen=True)
class Manner:
    """How a model is to answer."""

    stop_ids: frozenset[int]
    """Tokens that end an answer, and are no part of it."""
    max_new_tokens: int
    max_length: int
    """Tokens of a prompt and its answer together at most."""
    processors: Callable[[int], list[LogitsProcessor]] = _no_processors
    """What changes the scores of the next token, made anew for each batch; takes the tokens of its prompts."""
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Entered for each forward pass."""
    between: Callable[[], None] = lambda: None
    """Called before each forward pass; what it raises ends all answers."""
    most_rows: int = MOST_ROWS
    """Prompts that are answered together at most: one at a time needs the least memory."""

    def room(self, prompt: Sequence[int]) -> int:
        """New tokens that fit behind this prompt."""
        return min(self.max_new_tokens, self.max_length - len(prompt))


def answer(model: PreTrainedModel, prompts: Sequence[Sequence[int]], manner: Manner) -> list[list[int] | None]:
    """The new tokens for each prompt; None where there is no room for any, or not enough memory.

    Random state and mode of the model are left as they were (law 3).
    """
    answers: list[list[int] | None] = [None] * len(prompts)
    cuda_devices = [model.device] if model.device.type == "cuda" else []
    was_training = model.training
    model.train(False)
    try:
        with torch.random.fork_rng(devices=cuda_devices), torch.no_grad():
            _answer_all(model, prompts, manner, answers)
    finally:
        model.train(was_training)
    return answers


def _answer_all(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], manner: Manner, answers: list[list[int] | None]
) -> None:
    """Fill `answers`, batch by batch, with smaller ones where memory does not suffice."""
    askable = (number for number, prompt in enumerate(prompts) if prompt and manner.room(prompt) > 0)
    # Prompts of about the same length together: there is less to fill up.
    waiting = sorted(askable, key=lambda number: len(prompts[number]))
    rows = manner.most_rows
    while waiting:
        batch = waiting[:rows]
        outcome = unless_out_of_memory(partial(_decode, model, [prompts[number] for number in batch], manner))
        if isinstance(outcome, OutOfMemory):
            release_memory()
            if len(batch) > 1:
                rows = len(batch) // 2
                continue
            logger.warning("no memory for an answer: %s", outcome.message, extra={"event": "answer_left_out"})
        else:
            for number, tokens in zip(batch, outcome, strict=True):
                answers[number] = tokens
        waiting = waiting[len(batch) :]


def _decode(model: PreTrainedModel, prompts: list[Sequence[int]], manner: Manner) -> list[list[int]]:
    """The answers to one batch, until the last of them has ended."""
    ids, mask = _side_by_side(prompts, model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    is_padded = not bool(mask.all())
    processors = manner.processors(ids.shape[1])
    last_only = {"logits_to_keep": 1} if _keeps_last_logits(model) else {}
    answers: list[list[int]] = [[] for _ in prompts]
    unended = dict(enumerate(map(manner.room, prompts)))
    """New tokens at most, of the prompts whose answer goes on."""
    fed, cache = ids, None
    while True:
        manner.between()
        with manner.autocast():
            out = model(
                input_ids=fed, attention_mask=mask if is_padded else None, position_ids=positions,
                past_key_values=cache, use_cache=True, **last_only,
            )  # fmt: skip
        cache, scores = out.past_key_values, out.logits[:, -1].float()
        for process in processors:
            scores = process(ids, scores)
        fed = scores.argmax(-1, keepdim=True)
        _take(fed.flatten().tolist(), answers, unended, manner.stop_ids)
        if not unended:
            return answers
        ids, mask = torch.cat((ids, fed), dim=1), torch.cat((mask, torch.ones_like(fed)), dim=1)
        # Those that have ended go on beside the others, and may come to where the model knows no position.
        positions = (positions[:, -1:] + 1).clamp(max=manner.max_length - 1)


def _side_by_side(prompts: list[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens, and 1 where they are those of a prompt: int64[rows, longest] both."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[FILLING] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids.to(device), mask.to(device)


def _take(chosen: list[int], answers: list[list[int]], unended: dict[int, int], stop_ids: frozenset[int]) -> None:
    for row, token in enumerate(chosen):
        if row not in unended:
            continue
        if token not in stop_ids:
            answers[row].append(token)
        if token in stop_ids or len(answers[row]) == unended[row]:
            del unended[row]


def _keeps_last_logits(model: PreTrainedModel) -> bool:
    """Whether the model can be spared the logits of all of a prompt but its end."""
    return "logits_to_keep" in inspect.signature(type(model).forward).parameters
