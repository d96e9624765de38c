"""A training file opened for looking: what it is, and its rows one after the other, broken ones with their fault.

Reads only as far as it is asked to, whatever the size of the file, and packed files as they are. It judges nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from arena.gatekeepers.findings import Findings
from arena.gatekeepers.quest_specs import schema_id_in
from arena.gatekeepers.scroll_inspector import ScrollInspector
from arena.gatekeepers.scrolls.compressed_streams import ContainerFault
from arena.gatekeepers.scrolls.containers import Container, open_container
from arena.gatekeepers.scrolls.json_faults import explain_fault
from arena.gatekeepers.scrolls.json_lines import UNDECODABLE, decode, lines_of, read_blocks
from arena.gatekeepers.scrolls.measured_source import OpenFile
from arena.gatekeepers.shapes.reading import read_row
from arena.gatekeepers.shapes.row import Row
from arena.quest_names import lineage_dropped_with
from core.errors import InvalidInput, NotFound


@dataclass(frozen=True)
class SeenRow:
    """One row as it stands in the file."""

    number: int
    """From 1; a header is no row."""
    line: int
    """Line of the file, or item of a JSON list, from 1."""
    row: Row | None
    fault: str | None
    """Why there is no row."""


class OpenScroll:
    """A file being read; a context manager. What it tells is complete once its first row was read."""

    def __init__(self, path: Path) -> None:
        """Open and recognise the container; raises `NotFound`, and `InvalidInput` for what holds no text."""
        self.path = path
        self._findings = Findings()
        self.lineage = lineage_dropped_with(path)
        self._inspector = ScrollInspector(schema_id_in(self.lineage), self._findings)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"There is no file {path}.") from None
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
        try:
            self._container = self._recognise()
        except BaseException:  # whatever it is, the file must not stay open: nobody gets an object to close it with
            os.close(self._fd)
            raise

    def __enter__(self) -> OpenScroll:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    @property
    def kind(self) -> str | None:
        """That of `Container`."""
        return self._container.kind

    @property
    def is_list(self) -> bool:
        """Whether it is a JSON list, so that lines are items."""
        return self._container.array is not None

    @property
    def header(self) -> dict[str, Any] | None:
        return self._inspector.header

    def about(self) -> dict[str, Any]:
        """`{format, recognised_by, container, size_bytes}`, the first two None when no shape fits."""
        recognition = self._inspector.recognition
        return {
            "format": recognition.format if recognition else None,
            "recognised_by": recognition.by if recognition else None,
            "container": self.kind,
            "size_bytes": os.fstat(self._fd).st_size,
        }

    def rows(self) -> Iterator[SeenRow]:
        """The rows from here on; a fault of the container ends them as a broken row."""
        number = line = 0
        try:
            for block in read_blocks(self._container.lines):
                if self._container.array is not None:
                    self._container.array.forget_before(block.first_line)
                if block.too_long:
                    number, line = number + 1, block.first_line
                    yield SeenRow(number, line, None, f"the line is too long ({block.too_long} bytes)")
                for line, text in lines_of(block):
                    row, fault = self._read(line, text)
                    if row is not None or fault is not None:
                        number += 1
                        yield SeenRow(number, line, row, fault)
        except ContainerFault as error:
            yield SeenRow(number + 1, error.line or line + 1, None, str(error))

    def _recognise(self) -> Container:
        info = os.fstat(self._fd)
        if fault := self._inspector.file_fault(info):
            raise InvalidInput(f"{self.path}: {fault}.")
        try:
            container = open_container(OpenFile(self._fd, info.st_size), self.path.name)
        except ContainerFault as error:
            raise InvalidInput(f"{self.path}: {error}.") from error
        if fault := self._inspector.content_fault(container.head[:4096]):
            raise InvalidInput(f"{self.path}: {fault}.")
        return container

    def _read(self, line: int, text: bytes) -> tuple[Row | None, str | None]:
        """The row or its fault; neither for a header."""
        try:
            value = decode(text)
        except UNDECODABLE:
            return None, explain_fault(text)
        if not isinstance(value, dict):
            return None, "a row must be a JSON object"
        if self._inspector.takes_as_header(line, value):
            return None, None
        spec = self._inspector.reading_spec
        if spec is None:
            why = self._findings.errors[0].message if self._findings.errors else "its shape is not known"
            return None, why
        if missing := [column for column in spec.required_columns if column not in value]:
            return None, f"the column {missing[0]!r} is missing"
        report = _Faults()
        row = read_row(line, value, spec, report)
        return row, None if row is not None else "; ".join(report.told)


class _Faults:
    """Keeps what is wrong with one row."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def error(self, place: str, message: str) -> None:
        self.told.append(f"{place}: {message}")

    def warn(self, place: str, message: str) -> None:
        pass

    def ignored(self, place: str, message: str) -> None:
        pass
