"""What keeps a model to its profile while it writes (spec 1.18): penalties on the scores of the next token.

Only for generation; training knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import LogitsProcessor

from arena.rendering import Renderer
from guild.emoji_protocol import FEWEST_STOPS, last_stops
from guild.profiles import Profile
from guild.profiles.emoji_think import EMOJI_THINK, stops_asked_for
from guild.profiles.thoughts import CLOSE, OPEN

TAG_PENALTY = 80.0
TAG_SCHEDULE = ((4, 8.0), (4, 2.0), (4, 1.5))
"""So many tokens of an answer with the penalty so many times as large; the rest of it with the penalty itself."""

AFTER_STOP_PENALTY, END_REWARD = 100.0, 50.0
LARGEST_EXPONENT = 4
"""The penalty is ten times as large for each token after the stop, up to here: for ever, it would overflow."""

TAIL_TOKENS = 64
"""Of an answer, among which a stop signal is looked for: it takes up to seven bytes for each of its signs."""


def build_logits_processors(profile: Profile, renderer: Renderer, prompt_tokens: int) -> list[LogitsProcessor]:
    """Those for one batch of prompts, `prompt_tokens` long once they are filled up; none for most profiles."""
    if profile.name != EMOJI_THINK.name:
        return []
    return [
        ThinkTagPenalty([renderer.ids_of(tag) for tag in (OPEN, CLOSE)], prompt_tokens),
        AfterStopPenalty(renderer.text_of, renderer.stop_ids, prompt_tokens),
    ]


class ThinkTagPenalty(LogitsProcessor):
    """Keeps a model that was made to think between tags from writing them, most of all at the start of its answer."""

    def __init__(self, tags: Sequence[Sequence[int]], prompt_tokens: int) -> None:
        """`tags` are the tokens of each; of one that takes several, the last is made unlikely behind the others."""
        self._tags = [(list(tag[:-1]), tag[-1]) for tag in tags if tag]
        self._prompt_tokens = prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores of the next token [rows, vocabulary], after the tokens so far [rows, tokens]."""
        penalty = TAG_PENALTY * _factor(input_ids.shape[1] - self._prompt_tokens)
        scores = scores.clone()
        for begun, last in self._tags:
            tail = input_ids[:, input_ids.shape[1] - len(begun) :]
            if tail.shape[1] == len(begun):
                follows = (tail == torch.tensor(begun, dtype=tail.dtype, device=tail.device)).all(dim=1)
                scores[follows, last] -= penalty
        return scores


def _factor(written: int) -> float:
    for tokens, factor in TAG_SCHEDULE:
        if written < tokens:
            return factor
        written -= tokens
    return 1.0


class AfterStopPenalty(LogitsProcessor):
    """Lets an answer end once its stop signal is complete. One per batch, called for each token in turn."""

    def __init__(self, text_of: Callable[[Sequence[int]], str], stop_ids: frozenset[int], prompt_tokens: int) -> None:
        self._text_of = text_of
        self._stop_ids = sorted(stop_ids)
        self._prompt_tokens = prompt_tokens
        self._wanted: list[int] | None = None
        """How many stop emoji are the signal of each row."""
        self._since: dict[int, int] = {}
        """Tokens that have followed the signal, of the rows that have it."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores of the next token [rows, vocabulary], after the tokens so far [rows, tokens]."""
        if self._wanted is None:
            asked = (stops_asked_for(self._text_of(row)) for row in input_ids[:, : self._prompt_tokens].tolist())
            self._wanted = [count or FEWEST_STOPS for count in asked]
        written = input_ids[:, self._prompt_tokens :]
        for row, tail in enumerate(written[:, -TAIL_TOKENS:].tolist()):
            if row in self._since:
                self._since[row] += 1
            elif last_stops(self._text_of(tail))[1] >= self._wanted[row]:
                self._since[row] = 0
        return self._penalized(scores)

    def _penalized(self, scores: torch.Tensor) -> torch.Tensor:
        if not self._since or not self._stop_ids:
            return scores
        scores = scores.clone()
        for row, since in self._since.items():
            penalty = AFTER_STOP_PENALTY * 10.0 ** min(since, LARGEST_EXPONENT)
            ends = scores[row, self._stop_ids] + END_REWARD
            scores[row] -= penalty
            scores[row, self._stop_ids] = ends
        return scores
