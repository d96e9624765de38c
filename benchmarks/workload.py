"""What every contestant of `benchmarks.training` learns and starts from: chats, tokenizer and model, all from one seed.

Chats have log-normal lengths, most of them one question and one answer, some with several turns. Words are made of
syllables and drawn by Zipf's law, so that a byte-level BPE tokenizer splits them about as it splits a natural language.
An answer repeats words of its question: there is something to learn.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from arena.language.byte_tokenizer import CONTROL_TOKENS, NAMED_SPECIALS

ROWS = 1_500
MAX_LENGTH = 1024
"""Tokens of a row at most."""
MEDIAN_WORDS = 55
SPREAD = 0.9
"""Standard deviation of the logarithm of a chat's words."""
SHORTEST_WORDS = 8
SEVERAL_TURNS = 0.35
"""Part of the chats that have more than one question, where they are long enough."""
REPEATED = 0.5
"""Part of an answer's words that stand in its question."""
LEXICON_WORDS = 40_000

FOUR_MILLION = {
    "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "intermediate_size": 768, "max_position_embeddings": MAX_LENGTH,
}  # fmt: skip
"""Qwen3 of 4.2 million parameters with a vocabulary of 4 096, of 11.5 million with 32 768."""

TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' }}
    {%- if message['role'] == 'assistant' -%}
        {% generation %}{{- message['content'] + '<|im_end|>' }}{% endgeneration %}
    {%- else %}
        {{- message['content'] + '<|im_end|>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
"""ChatML as profile `chatml` renders it, with the marks by which transformers and TRL tell what an assistant says."""

Chat = dict[str, list[dict[str, str]]]
"""One row: `messages` of `role` and `content`."""


@dataclass(frozen=True)
class Workload:
    """A model directory with its tokenizer, and chats that fit into `MAX_LENGTH` tokens of it."""

    model: Path
    chats: list[Chat]

    def write(self, path: Path, chats: Iterable[Chat] | None = None) -> Path:
        """Write chats (all of them, in their order, if none are given) as JSON lines."""
        lines = [json.dumps(chat) + "\n" for chat in (self.chats if chats is None else chats)]
        path.write_text("".join(lines), encoding="utf-8")
        return path


def make_workload(
    folder: Path, *, vocabulary: int, rows: int = ROWS, recipe: dict[str, int] = FOUR_MILLION, seed: int = 1
) -> Workload:
    """Make everything; the same arguments give the same chats, and the same model for one torch build."""
    words = Lexicon(seed)
    chats = words.chats(rows)
    tokenizer = make_tokenizer(vocabulary, itertools.chain(words.words, _texts(chats)))
    tokenizer.save_pretrained(folder)
    make_model(recipe, vocabulary, tokenizer, seed).save_pretrained(folder)
    return Workload(folder, [fitted(chat, tokenizer) for chat in chats])


class Lexicon:
    """An endless source of chats."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        syllables = ["".join(parts) for parts in itertools.product("bdfgklmnprstvz", "aeiou", ("", "n", "r", "s"))]
        words: dict[str, None] = {}
        while len(words) < LEXICON_WORDS:
            words["".join(self._dice.choices(syllables, k=self._dice.choice((1, 2, 2, 3, 3, 4))))] = None
        # Zipf: the short come first, as in most languages.
        self.words = sorted(words, key=lambda word: (len(word) // 3, word))
        self._weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(self.words))))

    def chats(self, count: int) -> list[Chat]:
        """Chats of the workload's lengths."""
        return [self.chat(self._length(), turns=self._turns()) for _ in range(count)]

    def chat(self, words: int, *, turns: int = 1) -> Chat:
        """A chat of about so many words."""
        turns = min(turns, max(1, words // (2 * SHORTEST_WORDS)))
        messages = []
        for _ in range(turns):
            asked = max(2, int(words / turns * self._dice.uniform(0.2, 0.6)))
            question = self._draw(asked)
            answer = [
                self._dice.choice(question) if self._dice.random() < REPEATED else word
                for word in self._draw(max(2, words // turns - asked))
            ]
            messages += [_message("user", question), _message("assistant", answer)]
        return {"messages": messages}

    def _draw(self, count: int) -> list[str]:
        return self._dice.choices(self.words, cum_weights=self._weights, k=count)

    def _length(self) -> int:
        words = MEDIAN_WORDS * self._dice.lognormvariate(0.0, SPREAD)
        # A word has a token at least; what is longer than the model reads in spite of that is cut to fit.
        return int(min(max(words, SHORTEST_WORDS), MAX_LENGTH))

    def _turns(self) -> int:
        return self._dice.choice((2, 3, 4)) if self._dice.random() < SEVERAL_TURNS else 1


def make_tokenizer(vocabulary: int, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of exactly `vocabulary` tokens, learned from `texts`; `ValueError` when they are too few."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(CONTROL_TOKENS), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    if (made := tokenizer.get_vocab_size()) != vocabulary:
        raise ValueError(f"the texts give a vocabulary of {made} tokens, not of {vocabulary}")
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **NAMED_SPECIALS, chat_template=TEMPLATE, model_max_length=MAX_LENGTH
    )


def make_model(recipe: dict[str, int], vocabulary: int, tokenizer: Any, seed: int) -> Qwen3ForCausalLM:
    """Qwen3 with tied embeddings and fresh weights, without dropout, as Qwen3 is."""
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = Qwen3Config(**recipe, vocab_size=vocabulary, tie_word_embeddings=True, bos_token_id=None, **ends)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(**ends)  # type: ignore[no-untyped-call]
    return model


def token_count(tokenizer: Any, chat: Chat) -> int:
    """Tokens of a chat; `tokenizer` is any of transformers'."""
    ids = tokenizer.apply_chat_template(chat["messages"], tokenizer_kwargs={"verbose": False}, return_dict=True)
    return len(ids["input_ids"])


def fitted(chat: Chat, tokenizer: Any) -> Chat:
    """The chat with as many words of each message as `MAX_LENGTH` tokens hold of all."""
    while (tokens := token_count(tokenizer, chat)) > MAX_LENGTH:
        kept = MAX_LENGTH / tokens
        messages = [(message["role"], message["content"].split()) for message in chat["messages"]]
        chat = {"messages": [_message(role, words[: max(1, int(len(words) * kept))]) for role, words in messages]}
    return chat


def _texts(chats: Iterable[Chat]) -> Iterable[str]:
    return (message["content"] for chat in chats for message in chat["messages"])


def _message(role: str, words: Sequence[str]) -> dict[str, Any]:
    return {"role": role, "content": " ".join(words)}
