"""Damages bytes the way transfers, editors and tired people do; the same seed does the same damage."""

from __future__ import annotations

import random
from collections.abc import Callable

MORSELS = (
    *(bytes([sign]) for sign in b'\x00\n"\\{}[],:'),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\\ud800", b"null", b"NaN", b"1e999", b"-0"),
    *(b'"role"', b'"content"', b'"assistant"', b'{"text": "x"}\n', b" " * 70, b"[" * 80, "é龍\u2028".encode()),
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to four pieces of damage."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(DAMAGES)(data, chance)
    return data


def _flip(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(MORSELS) + data[at:]


def _remove(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randint(1, 30) :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _repeat_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    return data + chance.choice(lines) * chance.randint(1, 3)


def _replace_word(data: bytes, chance: random.Random) -> bytes:
    return data.replace(
        chance.choice((b"messages", b"content", b"role", b"user", b'"', b", ")), chance.choice(MORSELS), 1
    )


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _insert, _remove, _cut, _repeat_line, _replace_word,
)  # fmt: skip
