"""One file's way through the gates: its lines are read, decoded, checked and counted, as many at once as possible."""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.content_warden import ContentWarden
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.plain_rows import PlainRows
from arena.gatekeepers.scroll_inspector import ScrollInspector
from arena.gatekeepers.scrolls.compressed_streams import ContainerFault
from arena.gatekeepers.scrolls.containers import Container
from arena.gatekeepers.scrolls.json_arrays import JsonArray
from arena.gatekeepers.scrolls.json_faults import explain_fault
from arena.gatekeepers.scrolls.json_lines import MAX_LINE_BYTES, UNDECODABLE, Block, decode, lines_of, read_blocks
from arena.gatekeepers.scrolls.measured_source import MeasuredSource
from arena.gatekeepers.scrolls.unpacked_file import UnpackedFile
from arena.gatekeepers.scrolls.wrapped_lists import list_column, unwrap_hint


class Passage:
    """The pass over one file."""

    def __init__(self, inspector: ScrollInspector, findings: Findings) -> None:
        self.rows = 0
        """Rows so far, broken ones included."""
        self.incomplete = False
        self._inspector = inspector
        self._findings = findings
        self._warden = ContentWarden(inspector, findings)
        self._plain_rows: PlainRows | None = None
        self._kind: str | None = None
        self._lines: MeasuredSource | None = None
        """The lines of a container, once they were read to the end."""
        self._array: JsonArray | None = None
        self._list_column: str | None = None

    def read(self, container: Container, original: MeasuredSource, copy: UnpackedFile | None) -> None:
        """Read to the end of the lines, unless they are no text; raises `ContainerFault`."""
        self._kind, self._array = container.kind, container.array
        whole_lines = container.head[: container.head.rfind(b"\n") + 1] or container.head
        if fault := self._inspector.content_fault(whole_lines[:4096]):
            self._findings.error(1, None, f"unpacked, {fault}" if container.kind else fault)
            return
        if self._array is not None:
            self._findings.line_of_item = self._array.line_of
        lines = MeasuredSource(container.lines, copy)
        for block in read_blocks(lines if container.kind else container.lines):
            if self._array is not None:
                self._array.forget_before(block.first_line)
            if block.too_long:
                self._refuse_long_line(block)
            elif not self._read_at_once(block):
                self._read_by_line(block)
            if copy is not None and self._findings.total_errors:
                copy.give_up()
        self._findings.line_of_item = None
        self._lines = lines
        self._inspector.finish()
        self._warden.finish(self._plain_rows.answers if self._plain_rows is not None else 0)
        self._judge_as_a_whole((lines if container.kind else original).size)

    def break_off(self, fault: ContainerFault) -> None:
        """The container cannot be read on."""
        self._kind = self._kind or fault.kind
        self.incomplete = fault.incomplete
        self._findings.fault(fault.line, fault.item, str(fault))

    def told_of(self, original: MeasuredSource) -> dict[str, Any]:
        """The keys of the verdict about the file and its lines; `original` was read to its end."""
        about = {"content_hash": original.content_hash, "size_bytes": original.size}
        if self._kind is None:
            return {**about, "container": None}
        lines = self._lines
        unpacked = {"content_hash": lines.content_hash, "size_bytes": lines.size} if lines else {}
        return {"content_hash": None, "size_bytes": None, **unpacked, "container": {"kind": self._kind, **about}}

    def _explain(self, line: int, text: bytes) -> str:
        # What was joined to one line is explained by lines and columns that people can find.
        return explain_fault((self._array.text_of(line) if self._array is not None else None) or text)

    def _refuse_long_line(self, block: Block) -> None:
        self.rows += 1
        size, limit = block.too_long / 1024**2, MAX_LINE_BYTES // 1024**2
        what = "line" if self._array is None else "item"
        self._findings.error(block.first_line, None, f"the {what} has {size:.0f} MB; at most {limit} MB are read")

    def _judge_as_a_whole(self, size: int) -> None:
        if not self.rows:
            self._findings.error(1, None, self._why_no_rows(size))
        elif self.rows == 1 and self._inspector.found_no_shape and self._list_column is not None:
            self._findings.error(1, self._list_column, unwrap_hint(self._list_column))

    def _why_no_rows(self, size: int) -> str:
        if self._inspector.header is not None:
            return "the file holds a header row and no rows to learn"
        if self._array is not None:
            return "the file holds an empty list"
        return "the file holds only blank lines" if size else "the file is empty"

    def _read_at_once(self, block: Block) -> bool:
        """True when all lines of the block are plain rows; nothing is reported otherwise."""
        plain = self._plain_rows.count(block.data) if self._plain_rows is not None else None
        self.rows += plain or 0
        return plain is not None

    def _read_by_line(self, block: Block) -> None:
        for line, text in lines_of(block):
            try:
                row = decode(text)
            except UNDECODABLE:
                self.rows += 1
                self._findings.error(line, None, self._explain(line, text) if self._findings.wants_errors else "")
                continue
            self._warden.check_keys(line, text, row)
            if type(row) is dict and self._inspector.takes_as_header(line, row):
                continue
            self.rows += 1
            self._warden.check(line, row)
            if self.rows == 1:
                self._list_column = list_column(row)
            if self._plain_rows is None and type(row) is dict and self._inspector.spec is not None:
                self._plain_rows = PlainRows(self._inspector.spec, row)
