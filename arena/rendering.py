"""Rendering: one row of a quest becomes text, token ids and the mask of tokens to learn. The only renderer there is.

Gates, Inspector and trainer share it (DESIGN section 4), so that what was checked is what is learned. Torch-free
and transformers-free; text and ids equal `tokenizer.apply_chat_template` of transformers.

Learned are all assistant turns, their tool calls and their end-of-turn token, nothing else: no header, no newline after
the turn, no result of a tool (failures D1, D2), and no turn whose `weight` is 0. The turns are found by rendering the
chat up to each turn and comparing with the whole chat.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from blake3 import blake3
from tokenizers import Encoding, Tokenizer

from arena.language.chat_templates import compile_template, local_now
from arena.language.tokenizer_files import (
    adds_bos,
    load_tokenizer,
    native_template,
    read_tokenizer_config,
    special_tokens,
)
from core.errors import InvalidInput
from guild.profiles import Profile
from guild.profiles.thoughts import REASONING_FIELDS, end_of_thoughts

Message = Mapping[str, Any]
Tools = Sequence[Mapping[str, Any]]
Span = tuple[int, int]

_PROBE = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
_EMPTY_THOUGHT = re.compile(r"<think>\s*</think>\s*")
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """A row as the model sees it. `token_ids`, `trained` and `token_ends` have one entry per token."""

    text: str
    token_ids: list[int]
    trained: list[bool]
    """True where the token is a target of the loss. Never the first token: nothing stands before it to predict it."""
    target_spans: list[Span]
    """Characters of `text` to be learned, as half-open ranges in rising order."""
    token_ends: list[int]
    """Index in `text` of the character after each token."""

    @property
    def target_tokens(self) -> int:
        """How many tokens count in the loss; 0 means that nothing can be learned from this row."""
        return sum(self.trained)

    def truncated(self, max_length: int) -> RenderedRow:
        """The first `max_length` tokens (cut on the right); the row itself when it is not longer."""
        if len(self.token_ids) <= max_length:
            return self
        cut = self.token_ends[max_length - 1] if max_length > 0 else 0
        return RenderedRow(
            text=self.text[:cut],
            token_ids=self.token_ids[:max_length],
            trained=self.trained[:max_length],
            target_spans=[(start, min(end, cut)) for start, end in self.target_spans if start < cut],
            token_ends=self.token_ends[:max_length],
        )


class Renderer:
    """Renders rows for one model directory and one profile. Thread-safe; make it with `Renderer.load`."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: jinja2.Template | None,
        specials: dict[str, str],
        profile: Profile,
        *,
        starts_with_bos: bool,
        template_source: str | None,
        way_out: str = "Correct the chat.",
    ) -> None:
        """`template` was compiled from `template_source`; `way_out` is the hint for a chat that it cannot render."""
        self._profile = profile
        self._way_out = way_out
        self._template_source = template_source or ""
        self._tokenizer = tokenizer
        self._template = template
        self._specials = specials
        self._completion_start = specials.get("bos_token", "") if starts_with_bos else ""
        added = tokenizer.get_added_tokens_decoder().values()
        self._added_tokens = tuple(token.content for token in added)
        controls = sorted((token.content for token in added if token.special), key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, controls)) or "(?!)")
        # Post-processors trim spaces out of the offsets, and templates write all special tokens themselves.
        tokenizer.post_processor = None

    @classmethod
    def load(cls, model_dir: Path, profile: Profile, *, clock: Callable[[], datetime] = local_now) -> Renderer:
        """Read tokenizer and template of a Hugging Face directory.

        `clock` is the time that a template prints with `strftime_now`. Raises `InvalidInput` when the directory
        has no usable `tokenizer.json`, or when the tokenizer lacks a control token of the profile.
        """
        config = read_tokenizer_config(model_dir)
        tokenizer = load_tokenizer(model_dir, config)
        own = native_template(model_dir, config)
        source = profile.template_over(own)
        is_own = source == own and profile.chat_template is None
        missing = [token for token in profile.control_tokens if tokenizer.token_to_id(token) is None]
        if missing and not is_own:
            raise InvalidInput(
                f"The tokenizer in {model_dir} has no token {' and no token '.join(missing)}, "
                f"which profile {profile.name} writes.",
                hint="Use profile native.",
            )
        try:
            template = compile_template(source, clock) if source else None
        except jinja2.TemplateSyntaxError as error:
            raise InvalidInput(
                f"The chat template in {model_dir} is broken at line {error.lineno}: {error.message}",
                hint="Use profile chatml.",
            ) from error
        way_out = "Correct the chat, or use profile chatml." if is_own else "Correct the chat."
        return cls(
            tokenizer, template, special_tokens(config), profile, starts_with_bos=adds_bos(tokenizer, config),
            template_source=source, way_out=way_out,
        )  # fmt: skip

    @cached_property
    def fingerprint(self) -> str:
        """BLAKE3 over tokenizer, template and what the profile makes of a chat, hex: renderers with the same one give
        the same tokens at one time."""
        tokenizer, profile = self._tokenizer, self._profile
        parts = [
            tokenizer.to_str(), tokenizer.encode_special_tokens, self._template_source, self._specials,
            self._completion_start, profile.name if profile.rewrite else None, profile.system_prompt,
        ]  # fmt: skip
        return blake3(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def prints_time(self) -> bool:
        """Whether the template may print the time of the clock, on which the tokens then depend."""
        return "strftime_now" in self._template_source

    def render(
        self,
        *,
        messages: Sequence[Message] | None = None,
        text: str | None = None,
        system_prompt: str | None = None,
        tools: Tools | None = None,
    ) -> RenderedRow:
        """Render one chat (`messages`) or one completion (`text`); raises `InvalidInput` when it cannot be.

        `system_prompt` is put before chats that have no system message; `""` is the same as None. `tools` are JSON
        schemas of functions, as `apply_chat_template` takes them.
        """
        return self._tokenize([self._lay_out(messages, text, system_prompt, tools)])[0]

    def render_many(self, rows: Sequence[Mapping[str, Any]], system_prompt: str | None = None) -> list[RenderedRow]:
        """Render rows as `Row.as_mapping` gives them: `messages` with `tools`, or `text`.

        A row's own `system_prompt` wins over the one given. The first row that cannot be rendered raises `InvalidInput`
        with its index in `details["row"]`.
        """
        layouts = []
        for index, row in enumerate(rows):
            own_prompt = row.get("system_prompt") or system_prompt
            try:
                layouts.append(self._lay_out(row.get("messages"), row.get("text"), own_prompt, row.get("tools")))
            except InvalidInput as error:
                error.details["row"] = index
                raise
        return self._tokenize(layouts)

    def prompt_ids(self, messages: Sequence[Message], system_prompt: str | None = None) -> list[int]:
        """The tokens of a chat that the model is to answer, to where its answer begins: it is asked as it was taught
        (failure E4). Raises `InvalidInput` as `render`."""
        text = self._apply(_complete(messages, system_prompt, self._profile), None, generation=True)
        _check_encodable(text)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """The tokens with which an answer ends: that of the template, and the tokenizer's own."""
        with suppress(InvalidInput):
            row = self.render(messages=_PROBE)
            last = max((number for number, trained in enumerate(row.trained) if trained), default=None)
            if last is not None and row.token_ids[last] in self._tokenizer.get_added_tokens_decoder():
                return frozenset({row.token_ids[last]}) | self._eos_ids
        return self._eos_ids

    @property
    def _eos_ids(self) -> frozenset[int]:
        eos = self._tokenizer.token_to_id(self._specials.get("eos_token", ""))
        return frozenset() if eos is None else frozenset({eos})

    def ids_of(self, text: str) -> list[int]:
        """The tokens of a piece of text, without any template."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def text_of(self, token_ids: Sequence[int]) -> str:
        """The text of tokens that a model has written, without control tokens."""
        text: str = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text

    def special_tokens_in_content(self, messages: Sequence[Message]) -> list[str]:
        """Special tokens that somebody typed into a message; they become control tokens, as in transformers."""
        found: dict[str, None] = {}
        for message in messages:
            if isinstance(content := message.get("content"), str):
                found.update(dict.fromkeys(self._controls.findall(content)))
        return list(found)

    def _lay_out(
        self, messages: Sequence[Message] | None, text: str | None, system_prompt: str | None, tools: Tools | None
    ) -> tuple[str, list[Span]]:
        if messages is not None and text is None:
            whole, spans = self._lay_out_chat(_complete(messages, system_prompt, self._profile), tools)
        elif text is not None and messages is None:
            whole, spans = self._lay_out_completion(text)
        else:
            raise InvalidInput("A row must have either `messages` or `text`.")
        _check_encodable(whole)
        return whole, spans

    def _lay_out_chat(self, messages: list[dict[str, Any]], tools: Tools | None) -> tuple[str, list[Span]]:
        whole = self._apply(messages, tools, generation=False)
        spans = []
        for index, message in enumerate(messages):
            if message.get("role") != "assistant" or message.get("weight") == 0:
                continue
            header = self._header_of(index, messages, tools)
            if not whole.startswith(header):
                raise _rewritten(index)
            start = len(header)
            end = len(whole)
            if index + 1 < len(messages):
                end = self._end_of_turn(whole, start, messages[: index + 2], tools)
            turn = whole[start:end].rstrip()
            if turn.endswith(self._added_tokens):
                end = start + len(turn)
            if start < end:
                spans.append((start, end))
        return whole, spans

    def _header_of(self, turn: int, messages: list[dict[str, Any]], tools: Tools | None) -> str:
        """The text up to where the answer of a turn begins."""
        try:
            return self._apply(messages[:turn], tools, generation=True)
        except InvalidInput as error:
            if turn > 0:
                raise
            # Qwen3's, for one, looks at the first message without asking whether there is one.
            raise InvalidInput(
                "The model's own chat template takes no chat that begins with an answer.",
                hint="Begin with a system or user message, or use profile chatml.",
            ) from error

    def _lay_out_completion(self, text: str) -> tuple[str, list[Span]]:
        stop = self._specials.get("eos_token")
        if stop is None:
            raise InvalidInput("The tokenizer names no eos_token, so that a text cannot be ended.", hint="Use chats.")
        if not text:
            return "", []
        whole = self._completion_start + text.removesuffix(stop) + stop
        return whole, [(len(self._completion_start), len(whole))]

    def _end_of_turn(self, whole: str, start: int, messages: list[dict[str, Any]], tools: Tools | None) -> int:
        """Where the turn before the last of `messages` ends, which starts at `start`."""
        *turns, follower = messages
        prefix = self._apply(turns, tools, generation=False)
        if whole.startswith(prefix):
            return len(prefix)
        # Qwen3's template opens the last turn with an empty thought, and leaves that out where a tool answers the turn.
        thought = _EMPTY_THOUGHT.match(prefix, start)
        if thought and follower.get("role") == "tool" and whole.startswith(prefix[thought.end() :], start):
            return start + len(prefix) - thought.end()
        raise _rewritten(len(turns) - 1)

    def _apply(self, messages: list[dict[str, Any]], tools: Tools | None, *, generation: bool) -> str:
        if self._template is None:
            raise InvalidInput("The model brings no chat template along.", hint="Use profile chatml.")
        try:
            return self._template.render(
                messages=messages, tools=tools, documents=None, add_generation_prompt=generation, **self._specials
            )
        except Exception as error:  # the template is foreign code: whatever it raises, this chat cannot be rendered
            message = f"The chat template cannot render this chat: {error}"
            raise InvalidInput(message, hint=self._way_out) from error

    def _tokenize(self, layouts: list[tuple[str, list[Span]]]) -> list[RenderedRow]:
        encodings = self._tokenizer.encode_batch([text for text, _ in layouts], add_special_tokens=False)
        return [_masked(text, spans, encoding) for (text, spans), encoding in zip(layouts, encodings, strict=True)]


def _masked(text: str, spans: list[Span], encoding: Encoding) -> RenderedRow:
    offsets = encoding.offsets
    starts = [start for start, _ in offsets]
    ends = [end for _, end in offsets]
    trained = [False] * len(offsets)
    for span_start, span_end in spans:
        # Every token that holds a character of the span, as in transformers: a character may be several tokens, and
        # one token may begin before the span (a tokenizer that joins the header's newline with one of the answer).
        first = bisect_right(ends, span_start)
        last = bisect_left(starts, span_end)
        trained[first:last] = [True] * (last - first)
    if trained:
        trained[0] = False
    return RenderedRow(text, encoding.ids, trained, spans, ends)


def lost_thoughts(messages: Sequence[Message], text: str) -> list[int]:
    """Indices of the messages whose reasoning the template left out of the rendered `text` (PEERS 7.1).

    Reasoning stands in `reasoning_content` or in the content, between `<think>` and `</think>`.
    """
    lost = []
    for index, message in enumerate(messages):
        if message.get("role") == "assistant":
            content = message.get("content") or ""
            thoughts = _THOUGHT.findall(content, 0, end_of_thoughts(content))
            thoughts += [message[field] for field in REASONING_FIELDS if message.get(field)]
            if any(thought.strip() not in text for thought in thoughts):
                lost.append(index)
    return lost


def _rewritten(turn: int) -> InvalidInput:
    return InvalidInput(
        f"The model's own chat template changes what stands before or in message {turn + 1} once more of the chat "
        "follows (Qwen3's template does so with <think> blocks), so its answer cannot be told apart.",
        hint="Use profile chatml.",
    )


def _complete(messages: Sequence[Message], system_prompt: str | None, profile: Profile) -> list[dict[str, Any]]:
    """The messages as transformers hands them to a template: with the system prompt that is due, and as the profile
    wants them.

    A prompt that somebody has set goes before that of the profile (failure D5).
    """
    if not messages:
        raise InvalidInput("The chat has no messages.")
    plain = []
    for message in messages:
        fields = {key: value for key, value in message.items() if value is not None}
        reasoning = next((fields[key] for key in REASONING_FIELDS if key in fields), None)
        if reasoning is not None:
            fields = {"thinking": reasoning, **fields, "reasoning_content": reasoning}
        plain.append(fields)
    if system_prompt and profile.replaces_system:
        plain = [message for message in plain if message.get("role") != "system"]
    prompt = system_prompt or profile.system_prompt
    if prompt and all(message.get("role") != "system" for message in plain):
        plain.insert(0, {"role": "system", "content": prompt})
    return plain if profile.rewrite is None else profile.rewrite(plain)


def _check_encodable(text: str) -> None:
    try:
        text.isascii() or text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"The text holds a lone surrogate (\\u{ord(text[error.start]):04x}), which is no character.",
            hint="Write the character as UTF-8 or as a pair of escapes.",
        ) from error
