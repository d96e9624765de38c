"""What systemd makes of an `ExecStart=` line, written after systemd.syntax(7) and systemd.service(5)."""

from __future__ import annotations

import re

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?: |$)')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def words_of(line: str) -> list[str]:
    """The arguments of a line whose words are all in double quotes, behind a `:` (no `$` substitution)."""
    assert line.startswith(":")
    words: list[str] = []
    rest = line[1:]
    while rest:
        found = _WORD.match(rest)
        assert found, f"not a quoted word: {rest}"
        words.append(_expanded(re.sub(r"\\(.)", lambda escape: _ESCAPES[escape[1]], found[1])))
        rest = rest[found.end() :]
    return words


def _expanded(word: str) -> str:
    """Specifiers: only `%%` means itself."""
    assert not re.search(r"%[^%]", word.replace("%%", "")), f"a specifier in {word}"
    return word.replace("%%", "%")
