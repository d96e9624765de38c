"""Gate 1, the ScrollInspector: the file as a whole, which quest spec it follows, and the columns of its rows."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from arena.gatekeepers.findings import Findings
from arena.gatekeepers.quest_specs import QuestSpec, describe_columns, is_header, resolve_schema, schema_id_in
from core.errors import InvalidInput

MAX_FILE_BYTES = 10 * 1024**3
"""Larger files are refused (spec 1.2, daemon gate)."""

MOST_STRANGE_COLUMNS = 20
"""Unknown column names that are told, once each; further ones are ignored in silence."""

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
        self.spec: QuestSpec | None = None
        self.header: dict[str, Any] | None = None
        self._declared = declared_schema
        self._findings = findings
        self._first_row_seen = False
        self._resolved = False
        self._strange_columns: set[str] = set()

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
            if is_header(row):
                self.header = row
                return True
        if not self._resolved:
            self._resolved = True
            declared = self._declared if self._declared is not None else schema_id_in(self.header)
            try:
                self.spec = resolve_schema(declared, row)
            except InvalidInput as error:
                self._findings.error(line, "schema_id" if declared is not None else None, error.message)
        return False

    def check_columns(self, line: int, row: Mapping[str, Any]) -> bool:
        """Report missing columns and, once each, unknown ones; True when every required column is there."""
        assert self.spec is not None
        schema_id = self.spec.schema_id
        missing = [column for column in self.spec.required_columns if column not in row]
        for column in missing:
            found = describe_columns(row)
            self._findings.error(line, column, f"the column {column!r} of {schema_id} is missing; found {found}")
        for column in sorted(row.keys() - self.spec.columns) if not missing else ():
            self.note_ignored(line, column, f"{schema_id} has no column {column!r:.60}: it is ignored")
        return not missing

    def note_ignored(self, line: int, place: str, message: str) -> None:
        """Warn of something in the file that the realm does not use, once for each `place`."""
        if place not in self._strange_columns and len(self._strange_columns) < MOST_STRANGE_COLUMNS:
            self._strange_columns.add(place)
            self._findings.warn(line, place[:60], message)
