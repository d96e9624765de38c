"""Texts that were damaged on their way: read in the wrong encoding, with lost signs, or with control characters."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Sample
from arena.gatekeepers.findings import Findings

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f]")
_SUSPECT = re.compile(
    "[ÂÃ][\u0080-\u2122]|(?:[ÐÑ][\u0080-\u2122]){2}|â[€‚„†][\u0080-\u2122]|ï[»¿][\u0080-\u2122]|ðŸ[\u0080-\u2122]{2}"
)
"""How UTF-8 looks that was read as Windows text: Latin letters, Cyrillic, typographic signs, marks, emoji."""


def _bytes_of_windows() -> dict[int, int]:
    read = ((byte, bytes([byte]).decode("cp1252", "ignore")) for byte in range(0x80, 0xA0))
    return {ord(sign): byte for byte, sign in read if sign}


_TO_BYTES = _bytes_of_windows()


class Encoding:
    """Looks at every text, the questions too."""

    def __init__(self, findings: Findings) -> None:
        self._checked = 0
        self._found: Counter[str] = Counter()
        self._remarks = Remarks(findings, "convert the source to UTF-8 once more, or take the row out")

    def look(self, sample: Sample) -> None:
        for place, text in sample.texts:
            self._checked += 1
            if fault := damage(text):
                kind, what = fault
                self._found[kind] += 1
                self._remarks.tell(sample.number, sample.line, place, what)

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("the text is damaged")
        kinds = {kind: self._found[kind] for kind in ("mojibake", "replacement_characters", "control_characters")}
        return {"encoding_stats": {"checked": self._checked, **kinds}}


def damage(text: str) -> tuple[str, str] | None:
    """The kind of damage and what it is, in words; None for a sound text."""
    if "\ufffd" in text:
        return "replacement_characters", "a U+FFFD stands where a character was lost"
    if not text.isascii():
        for suspect in _SUSPECT.finditer(text):
            if meant := _meant(suspect[0]):
                return "mojibake", f"{suspect[0]!r} probably was {meant!r}, read in the wrong encoding"
    if control := _CONTROL.search(text):
        return "control_characters", f"the control character U+{ord(control[0]):04X} stands in the text"
    return None


def _meant(suspect: str) -> str | None:
    """What UTF-8 says of the bytes that were shown as `suspect`; None when it is none."""
    try:
        return suspect.translate(_TO_BYTES).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
