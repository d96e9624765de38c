"""How `realm inspect` prints rows: learned text in colour on a terminal, between marks everywhere else, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from arena.gatekeepers.deep.deep_warden import describe_content
from arena.gatekeepers.measures.token_census import describe_census
from arena.gatekeepers.rejection import describe_findings
from core.shell.console import VerbConsole

LEARNED, NOT_LEARNED, LOST = "bold green", "", "red strike"
OPEN, CLOSE = "⟦", "⟧"
"""Around learned text where there are no colours."""
CUT_MARK = "⟪cut here by max_length⟫"


class Display:
    """Prints rows as they come, or at the end everything as JSON."""

    def __init__(self, *, as_json: bool, plain: bool, ids: bool) -> None:
        self._console = VerbConsole(soft_wrap=True, highlight=False, markup=False)
        self._as_json = as_json
        self._marks = plain or not self._console.is_terminal
        self._ids = ids
        self._about: dict[str, Any] = {}

    def begin(self, file: Path, about: dict[str, Any], yardstick: dict[str, Any]) -> None:
        self._about = {"file": str(file), **about, "yardstick": yardstick}
        shape = f"{about['format']} by {about['recognised_by']}" if about["format"] else "no shape that is known"
        self.remark(f"{file}: recognised as {shape}")
        measured = f"profile {yardstick['profile']}, max_length {yardstick['max_length']}"
        self.remark(f"rendered with {yardstick['tokenizer']}, {measured}")

    def remark(self, text: str) -> None:
        if not self._as_json:
            self._console.print(visible(text))

    def row(self, report: dict[str, Any], *, is_list: bool) -> None:
        if self._as_json:
            return
        place = "item" if is_list else "line"
        self.remark(f"\n── row {report['number']}, {place} {report['line']}: {_lengths(report)}")
        if report["fault"] is None:
            self._console.print(_marked(report) if self._marks else _coloured(report))
            if self._ids:
                pairs = zip(report["token_ids"], report["learned"], strict=True)
                self.remark(
                    "token ids: " + " ".join(f"{token}*" if learned else str(token) for token, learned in pairs)
                )

    def end(self, counted: dict[str, Any] | None, reports: list[dict[str, Any]]) -> None:
        if self._as_json:
            typer.echo(json.dumps({**self._about, "statistics": counted, "rows": reports}, indent=2))
            return
        if counted is None:
            return
        self.remark("\n── statistics")
        for line in _statistics(counted):
            self.remark(line)


def visible(text: str) -> str:
    """The text with control characters as signs: a training file must not steer the terminal it is shown on."""
    return "".join(_sign(character) for character in text)


def _sign(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or (code >= 32 and not 127 <= code < 160):
        return character
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else f"\\x{code:02x}"


def _lengths(report: dict[str, Any]) -> str:
    if report["fault"] is not None:
        return f"not shown: {report['fault']}"
    told = f"{report['length']} tokens, {report['trained']} of them learned"
    if report["cut_at"] is not None:
        told += f"; cut: {report['tokens_lost']} tokens are lost, {report['trained_kept']} learned ones are left"
    return told


def _pieces(report: dict[str, Any]) -> Iterator[tuple[str, bool, bool]]:
    """Stretches of text in order: what they say, whether they are learned, whether the cut takes them away."""
    text, cut = report["text"], report["cut_at"]
    for start, end, learned in report["runs"]:
        if cut is None or end <= cut:
            yield text[start:end], learned, False
        elif start >= cut:
            yield text[start:end], learned, True
        else:
            yield text[start:cut], learned, False
            yield text[cut:end], learned, True


def _marked(report: dict[str, Any]) -> str:
    told, was_cut = "", False
    for piece, learned, lost in _pieces(report):
        if lost and not was_cut:
            told, was_cut = told + CUT_MARK, True
        told += f"{OPEN}{visible(piece)}{CLOSE}" if learned else visible(piece)
    return told


def _coloured(report: dict[str, Any]) -> Text:
    pieces = [
        (visible(piece), LOST if lost else LEARNED if learned else NOT_LEARNED)
        for piece, learned, lost in _pieces(report)
    ]
    return Text.assemble(*pieces)


def _statistics(counted: dict[str, Any]) -> Iterator[str]:
    yield from describe_census(counted["tokens"])
    if counted["broken_rows"]:
        yield f"broken rows: {counted['broken_rows']}; `realm validate` names them"
    lines = ", ".join(map(str, counted["duplicate_lines"]))
    yield f"rows that repeat an earlier one: {counted['duplicates']}" + (f" (lines {lines})" if lines else "")
    yield from describe_content(counted["content"])
    yield from describe_findings(counted["errors"], counted["total_errors"], "error: ")
    yield from describe_findings(counted["warnings"], counted["total_warnings"], "warning: ")
