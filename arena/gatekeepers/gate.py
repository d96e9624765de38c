"""Both gates over one file in one pass: unpack, hash, parse, check and count. Runs in the scribe (law 5); torch-free.

Fails closed (law 6, C8): whatever goes wrong in here is a rejection, never an entry.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from arena.gatekeepers import content_warden, quest_specs
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.passage import Passage
from arena.gatekeepers.recognition import Recognition
from arena.gatekeepers.scroll_inspector import ScrollInspector
from arena.gatekeepers.scrolls.compressed_streams import ContainerFault
from arena.gatekeepers.scrolls.containers import open_container
from arena.gatekeepers.scrolls.measured_source import MeasuredSource, OpenFile
from arena.gatekeepers.scrolls.unpacked_file import UnpackedFile
from arena.quest_names import dropped_sidecar_of
from core.crash_points import crash_point
from core.errors import Unavailable
from core.files import DISK_TROUBLE, read_json

logger = logging.getLogger(__name__)

VALIDATORS = {
    quest_specs.VALIDATOR_NAME: quest_specs.VALIDATOR_VERSION,
    content_warden.VALIDATOR_NAME: content_warden.VALIDATOR_VERSION,
}


def inspect_file(path: str, unpack_to: str | None = None) -> dict[str, Any]:
    """Judge a quest file; the verdict is JSON-able. Never raises for bad data, and never follows a link.

    With `unpack_to`, the JSON lines of a compressed file or JSON list are written there while they are judged, and
    lie there, durable, when they are accepted. Raises `Unavailable` when there is no room for them, and for a file
    that the disk does not let read.

    Keys: `accepted`, `schema_id` (None when no spec fits), `format` and `recognised_by` (the shape of the file and what
    gave it away, such as "ShareGPT" and "its `conversations` of from/value"; None when it has none), `rows` (a header
    row does not count), `content_hash` (BLAKE3 hex) and `size_bytes` of the JSON lines, which the trainer will read
    (None when they could not be read to the end), `container` (None for a file of JSON lines, else `{kind,
    content_hash, size_bytes}` of the file itself), `incomplete` (the file was cut off, or is still being copied),
    `errors` and `warnings` (at most 100 each of `{line, field, message}`, with `item` where the file is a JSON list;
    line None where no line is to blame), `total_errors`, `total_warnings`, `header` (the header row, if any),
    `validators` (name to version).
    """
    findings = Findings()
    try:
        return _inspect(Path(path), Path(unpack_to) if unpack_to else None, findings)
    except Unavailable:  # says nothing about the file, which is to be tried again
        raise
    except OSError as error:
        if error.errno in DISK_TROUBLE:
            raise Unavailable(f"{path} cannot be read: {error.strerror}.") from error
        is_link = error.errno == errno.ELOOP
        reason = "it is a symbolic link, and links are not followed" if is_link else error.strerror
        findings.error(None, None, f"the file cannot be read: {reason}")
    except Exception as error:  # fails closed: a bug in a gate must not let a file in (C8)
        logger.exception("gates failed on %s", path, extra={"event": "gate_failed", "file": path})
        findings.error(None, None, f"the gates failed on this file and did not let it in: {error!r}")
    return _verdict(findings)


def _inspect(path: Path, unpack_to: Path | None, findings: Findings) -> dict[str, Any]:
    with ExitStack() as stack:
        # O_NONBLOCK: opening a fifo that nobody writes to must not hang the scribe.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        before = os.fstat(fd)
        inspector = ScrollInspector(_declared_schema(path, findings), findings)
        if reason := inspector.file_fault(before):
            findings.error(None, None, reason)
            return _verdict(findings, size_bytes=before.st_size)
        original = MeasuredSource(OpenFile(fd, before.st_size))
        passage = Passage(inspector, findings)
        copy = None
        try:
            container = open_container(original, path.name)
            if container.kind is not None and unpack_to is not None:
                copy = stack.enter_context(UnpackedFile(unpack_to, before))
            passage.read(container, original, copy)
        except ContainerFault as fault:
            passage.break_off(fault)
        original.read_to_end()
        after = os.fstat(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            findings.error(None, None, "the file changed while it was being read; drop it again once it is whole")
        verdict = _verdict(
            findings,
            schema_id=inspector.spec.schema_id if inspector.spec else None,
            recognition=inspector.recognition,
            rows=passage.rows,
            header=inspector.header,
            incomplete=passage.incomplete,
            **passage.told_of(original),
        )
        if copy is not None and verdict["accepted"]:
            copy.keep()
            crash_point("unpack.written")
        return verdict


def _declared_schema(path: Path, findings: Findings) -> object:
    """The `schema_id` in the sidecar; None without sidecar or id. An unreadable sidecar is an error."""
    sidecar = dropped_sidecar_of(path)
    try:
        info = sidecar.lstat()
    except FileNotFoundError:
        return None
    value = read_json(sidecar) if stat.S_ISREG(info.st_mode) else None
    if not isinstance(value, dict):
        findings.error(None, None, f"the sidecar {sidecar.name} does not hold a JSON object; correct or remove it")
        return None
    return quest_specs.schema_id_in(value)


def _verdict(
    findings: Findings,
    *,
    schema_id: str | None = None,
    recognition: Recognition | None = None,
    rows: int = 0,
    content_hash: str | None = None,
    size_bytes: int | None = None,
    container: dict[str, Any] | None = None,
    incomplete: bool = False,
    header: dict[str, Any] | None = None,
) -> dict[str, Any]:
    accepted = not findings.total_errors and schema_id is not None and rows > 0 and content_hash is not None
    return {
        "accepted": accepted,
        "schema_id": schema_id,
        "format": recognition.format if recognition else None,
        "recognised_by": recognition.by if recognition else None,
        "rows": rows,
        "content_hash": content_hash,
        "size_bytes": size_bytes,
        "container": container,
        "incomplete": incomplete,
        "errors": [finding.to_json() for finding in findings.errors],
        "total_errors": findings.total_errors,
        "warnings": [finding.to_json() for finding in findings.warnings],
        "total_warnings": findings.total_warnings,
        "header": header,
        "validators": dict(VALIDATORS),
    }
