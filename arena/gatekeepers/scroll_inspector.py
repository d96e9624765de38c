"""Gate 1, the ScrollInspector: the file as a whole, its shape and quest spec, and the columns of its rows."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from arena.gatekeepers.findings import Finding, Findings
from arena.gatekeepers.quest_specs import (
    BOOKKEEPING_COLUMNS,
    DEFAULT_SPEC_ID,
    SPECS,
    QuestSpec,
    may_be_header,
    schema_id_in,
)
from arena.gatekeepers.recognition import (
    Recognition,
    describe_columns,
    has_data,
    recognise,
    recognise_declared,
    recognise_judged,
)
from core.errors import InvalidInput

MAX_FILE_BYTES = 10 * 1024**3
"""Larger files are refused (spec 1.2, daemon gate)."""

MOST_STRANGE_COLUMNS = 20
"""Unknown column names that are told; further ones are ignored in silence."""
MOST_IGNORED = 20
"""Places inside of messages that are told to be ignored, once each."""

MAGIC = (
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a parquet table"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)


class ScrollInspector:
    """Judges one file. `spec` is None until its first object row has been seen, and stays so when no spec fits."""

    def __init__(self, declared_schema: object, findings: Findings) -> None:
        """`declared_schema` is the sidecar's `schema_id`; it wins over the header row."""
        self.recognition: Recognition | None = None
        """The verdict on the file's shape; None until its first object row, and for a shape that is not known."""
        self.spec: QuestSpec | None = None
        """The spec that the rows so far follow."""
        self.header: dict[str, Any] | None = None
        self._declared = declared_schema
        self._declared_in: int | None = None
        """Line of the header row that declares the spec; None when the sidecar does."""
        self._findings = findings
        self._first_row_seen = False
        self._resolved = False
        self._strange_columns: dict[str, Finding] = {}
        """Columns that the spec does not know, and where each was seen first."""
        self._ignored: set[str] = set()

    def file_fault(self, info: os.stat_result) -> str | None:
        """Why a file of this kind is not even read; None when it is."""
        if not stat.S_ISREG(info.st_mode):
            return "this is not a regular file"
        if info.st_size > MAX_FILE_BYTES:
            size, limit = info.st_size / 1024**3, MAX_FILE_BYTES // 1024**3
            return f"the file has {size:.1f} GiB; at most {limit} GiB are read: split it"
        return None

    def content_fault(self, start: bytes) -> str | None:
        """Why the bytes at the start of a file show that it is no text at all; None when they look like text."""
        for magic, name in MAGIC:
            if start.startswith(magic):
                return f"this is {name}, not JSON lines in UTF-8"
        if (at := start.find(b"\0")) >= 0:
            return f"this is binary, not JSON lines: a NUL byte stands at byte {at + 1} of the file"
        return None

    def takes_as_header(self, line: int, row: dict[str, Any]) -> bool:
        """Resolve the spec from the first object rows of the file; True when `row` is the header, not data."""
        if not self._first_row_seen:
            self._first_row_seen = True
            if may_be_header(row) and not has_data(row):
                self.header = row
                if self._declared is None:
                    self._declared = schema_id_in(row)
                    self._declared_in = line
                return True
        if not self._resolved:
            self._resolved = True
            self._resolve(line, row)
        return False

    def _resolve(self, line: int, row: dict[str, Any]) -> None:
        try:
            recognition = recognise(row) if self._declared is None else recognise_declared(self._declared)
        except InvalidInput as error:
            if self._declared is None:
                self._findings.error(line, None, error.message)
            else:
                self._findings.error(self._declared_in, "schema_id", error.message)
            return
        self._take_for(line, recognition)

    def _take_for(self, line: int, recognition: Recognition) -> None:
        self.recognition = recognition
        self.spec = recognition.spec
        if recognition.spec is None:
            message = f"recognised as {recognition.format} by {recognition.by}: there is no method for it yet"
            self._findings.error(line, None, message)

    @property
    def found_no_shape(self) -> bool:
        """Whether the first row has no shape that is known; what declares its spec is not asked for one."""
        return self._resolved and self._declared is None and self.recognition is None

    @property
    def reading_spec(self) -> QuestSpec | None:
        """The spec to read rows with: for a chat whose spec nobody declared, the one that knows all of a chat."""
        return SPECS["openai_chat_v1"] if self.may_grow else self.spec

    @property
    def may_grow(self) -> bool:
        """Whether the spec is the default that nobody declared, so that a richer row may still change it."""
        return self._declared is None and self.spec is not None and self.spec.schema_id == DEFAULT_SPEC_ID

    def grow(self) -> None:
        """A row has more to it than the default spec reads, so the file follows the richer one."""
        self.spec = self.reading_spec

    def check_columns(self, line: int, row: Mapping[str, Any]) -> bool:
        """Report missing columns and note unknown ones; True when every required column is there.

        A row that judges its answer tells what shape the file has: the rows before may only have lacked a judgement.
        """
        spec = self.reading_spec
        assert spec is not None
        assert self.recognition is not None
        schema_id = (self.spec or spec).schema_id
        missing = [column for column in spec.required_columns if column not in row]
        for column in missing:
            found = describe_columns(row)
            message = f"the column {column!r} of {schema_id} is missing; found {found}"
            if has_data(row):
                message += f"; the file was recognised as {self.recognition.format}, and must hold that shape only"
            self._findings.error(line, column, message)
        if missing or row.keys() <= spec.columns:
            return not missing
        if self._declared is None and spec.kind != "completion" and (judged := recognise_judged(row)):
            self._take_for(line, judged)
            return False
        for column in sorted(row.keys() - spec.columns - self._strange_columns.keys()):
            if column.lower() not in BOOKKEEPING_COLUMNS and len(self._strange_columns) < MOST_STRANGE_COLUMNS:
                self._strange_columns[column] = self._findings.finding(line, None, "")
        return True

    def finish(self) -> None:
        """Warn of the columns that no row needed, all in one sentence, at the line of the first of them."""
        if not self._strange_columns or self.spec is None:
            return
        names = [repr(name)[:60] for name in self._strange_columns]
        what = f"the columns {', '.join(names)} are" if len(names) > 1 else f"the column {names[0]} is"
        message = f"{what} ignored: {self.spec.schema_id} reads no column of that name"
        column = next(iter(self._strange_columns)) if len(names) == 1 else None
        first = next(iter(self._strange_columns.values()))
        self._findings.warn_later(replace(first, field=column and column[:60], message=message))

    def note_ignored(self, line: int, place: str, message: str) -> None:
        """Warn of something in the file that the realm does not use, once for each `place`."""
        if place not in self._ignored and len(self._ignored) < MOST_IGNORED:
            self._ignored.add(place)
            self._findings.warn(line, place[:60], message)
