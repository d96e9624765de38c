"""The rows of a quest file as the trainer reads them: what the gates accepted, row for row, in file order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from arena.gatekeepers.quest_specs import QuestSpec, may_be_header, spec_named
from arena.gatekeepers.scrolls.json_faults import explain_fault
from arena.gatekeepers.scrolls.json_lines import UNDECODABLE, ByteSource, decode, lines_of, read_blocks
from arena.gatekeepers.shapes.reading import read_row
from arena.gatekeepers.shapes.row import FirstFault, Row
from core.errors import InvalidInput

__all__ = ["Row", "read_rows", "rows_in"]


def read_rows(path: Path, schema_id: str) -> Iterator[Row]:
    """The rows of a file that follows `schema_id`, without blank lines and header; memory stays bounded.

    A file that the gates accepted never fails here. Raises `InvalidInput` for an unknown spec at once, and
    while reading for the first row that is none; `OSError` when the file cannot be read.
    """
    return _rows(path, spec_named(schema_id))


def rows_in(stream: ByteSource, schema_id: str, path: Path) -> Iterator[Row]:
    """`read_rows` of the file at `path`, which is read through `stream`."""
    return _rows_in(stream, spec_named(schema_id), path)


def _rows(path: Path, spec: QuestSpec) -> Iterator[Row]:
    with path.open("rb", buffering=0) as stream:
        yield from _rows_in(stream, spec, path)


def _rows_in(stream: ByteSource, spec: QuestSpec, path: Path) -> Iterator[Row]:
    report = FirstFault()
    first = True
    for block in read_blocks(stream):
        if block.too_long:
            raise _broken(path, block.first_line, f"is too long ({block.too_long} bytes)")
        for line, text in lines_of(block):
            try:
                value = decode(text)
            except UNDECODABLE:
                raise _broken(path, line, explain_fault(text)) from None
            has_data = isinstance(value, dict) and all(column in value for column in spec.required_columns)
            if first and not has_data and isinstance(value, dict) and may_be_header(value):
                first = False
                continue
            first = False
            row = read_row(line, value, spec, report) if has_data else None
            if row is None:
                raise _broken(path, line, f"is no row of {spec.schema_id}{report.told}")
            yield row


def _broken(path: Path, line: int, what: str) -> InvalidInput:
    return InvalidInput(f"{path}: line {line} {what}.", hint="`realm validate` names all that is wrong.", line=line)
