"""Both gates over one file in one pass: hash, parse, check and count. Runs in the scribe (law 5); torch-free.

Fails closed (law 6, C8): whatever goes wrong in here is a rejection, never an entry.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path
from typing import Any

from blake3 import blake3

from arena.gatekeepers import content_warden, quest_specs
from arena.gatekeepers.content_warden import ContentWarden
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.json_faults import explain_fault
from arena.gatekeepers.json_lines import MAX_LINE_BYTES, UNDECODABLE, Block, decode, lines_of, read_blocks
from arena.gatekeepers.plain_rows import PlainRows
from arena.gatekeepers.scroll_inspector import ScrollInspector
from arena.quests import sidecar_of
from core.files import read_json

logger = logging.getLogger(__name__)

VALIDATORS = {
    quest_specs.VALIDATOR_NAME: quest_specs.VALIDATOR_VERSION,
    content_warden.VALIDATOR_NAME: content_warden.VALIDATOR_VERSION,
}


def inspect_file(path: str) -> dict[str, Any]:
    """Judge a quest file; the verdict is JSON-able. Never raises for bad data, and never follows a link.

    Keys: `accepted`, `schema_id` (None when no spec fits), `rows` (a header row does not count), `content_hash`
    (BLAKE3 hex; None when the file could not be read), `size_bytes`, `errors` and `warnings` (at most 100 each
    of `{line, field, message}`; line None where no line is to blame), `total_errors`, `total_warnings`,
    `header` (the header row, if any), `validators` (name to version).
    """
    findings = Findings()
    try:
        return _inspect(Path(path), findings)
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        reason = "it is a symbolic link, and links are not followed" if is_link else error.strerror
        findings.error(None, None, f"the file cannot be read: {reason}")
    except Exception as error:  # fails closed: a bug in a gate must not let a file in (C8)
        logger.exception("gates failed on %s", path, extra={"event": "gate_failed", "file": path})
        findings.error(None, None, f"the gates failed on this file and did not let it in: {error!r}")
    return _verdict(findings)


def _inspect(path: Path, findings: Findings) -> dict[str, Any]:
    # O_NONBLOCK: opening a fifo that nobody writes to must not hang the scribe.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(fd)
        inspector = ScrollInspector(_declared_schema(path, findings), findings)
        if fault := inspector.file_fault(before):
            findings.error(None, None, fault)
            return _verdict(findings, size_bytes=before.st_size)
        source = _HashedSource(fd)
        rows = _Reading(inspector, findings).read(source)
        after = os.fstat(fd)
    finally:
        os.close(fd)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        findings.error(None, None, "the file changed while it was being read; drop it again once it is whole")
    return _verdict(
        findings,
        schema_id=inspector.spec.schema_id if inspector.spec else None,
        rows=rows,
        content_hash=source.hasher.hexdigest(),
        size_bytes=source.size,
        header=inspector.header,
    )


def _declared_schema(path: Path, findings: Findings) -> object:
    """The `schema_id` in the sidecar; None without sidecar or id. An unreadable sidecar is an error."""
    sidecar = sidecar_of(path)
    try:
        info = sidecar.lstat()
    except FileNotFoundError:
        return None
    value = read_json(sidecar) if stat.S_ISREG(info.st_mode) else None
    if not isinstance(value, dict):
        findings.error(None, None, f"the sidecar {sidecar.name} does not hold a JSON object; correct or remove it")
        return None
    return quest_specs.schema_id_in(value)


class _HashedSource:
    """Hashes and counts the bytes that are read through it."""

    def __init__(self, fd: int) -> None:
        self.hasher = blake3()
        self.size = 0
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        data = os.read(self._fd, size)
        self.hasher.update(data)
        self.size += len(data)
        return data


class _Reading:
    """One pass over the lines of a file."""

    def __init__(self, inspector: ScrollInspector, findings: Findings) -> None:
        self._rows = 0
        self._inspector = inspector
        self._findings = findings
        self._warden = ContentWarden(inspector, findings)
        self._plain_rows: PlainRows | None = None

    def read(self, source: _HashedSource) -> int:
        """Read to the end of the file; returns its rows, broken ones included."""
        is_text = True
        for block in read_blocks(source):
            if block.first_line == 1 and (fault := self._inspector.content_fault(block.data[:4096])):
                self._findings.error(1, None, fault)
                is_text = False
            if not is_text:
                continue  # what is left is read for the hash
            if block.too_long:
                self._refuse_long_line(block)
            elif not self._read_at_once(block):
                self._read_by_line(block)
        if is_text and not self._rows:
            self._findings.error(1, None, self._why_no_rows(source.size))
        return self._rows

    def _refuse_long_line(self, block: Block) -> None:
        self._rows += 1
        size, limit = block.too_long / 1024**2, MAX_LINE_BYTES // 1024**2
        self._findings.error(block.first_line, None, f"the line has {size:.0f} MB; at most {limit} MB are read")

    def _why_no_rows(self, size: int) -> str:
        if self._inspector.header is not None:
            return "the file holds a header row and no rows to learn"
        return "the file holds only blank lines" if size else "the file is empty"

    def _read_at_once(self, block: Block) -> bool:
        """True when all lines of the block are plain rows; nothing is reported otherwise."""
        plain = self._plain_rows.count(block.data) if self._plain_rows is not None else None
        self._rows += plain or 0
        return plain is not None

    def _read_by_line(self, block: Block) -> None:
        for line, text in lines_of(block):
            try:
                row = decode(text)
            except UNDECODABLE:
                self._rows += 1
                message = explain_fault(text) if self._findings.wants_errors else ""
                self._findings.error(line, None, message)
                continue
            self._warden.check_keys(line, text, row)
            if type(row) is dict and self._inspector.takes_as_header(line, row):
                continue
            self._rows += 1
            self._warden.check(line, row)
            if self._plain_rows is None and type(row) is dict and self._inspector.spec is not None:
                self._plain_rows = PlainRows(self._inspector.spec, row)


def _verdict(
    findings: Findings,
    *,
    schema_id: str | None = None,
    rows: int = 0,
    content_hash: str | None = None,
    size_bytes: int = 0,
    header: dict[str, Any] | None = None,
) -> dict[str, Any]:
    accepted = not findings.total_errors and schema_id is not None and rows > 0 and content_hash is not None
    return {
        "accepted": accepted,
        "schema_id": schema_id,
        "rows": rows,
        "content_hash": content_hash,
        "size_bytes": size_bytes,
        "errors": [finding.to_json() for finding in findings.errors],
        "total_errors": findings.total_errors,
        "warnings": [finding.to_json() for finding in findings.warnings],
        "total_warnings": findings.total_warnings,
        "header": header,
        "validators": dict(VALIDATORS),
    }
