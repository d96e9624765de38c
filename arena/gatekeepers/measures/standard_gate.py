"""The gate before training, STANDARD or DEEP: one pass over a quest that QUICK let in. Runs in the scribe; torch-free.

Fails closed (law 6, C8): whatever goes wrong in here is a rejection, never an entry. Memory is bounded by the rows that
are looked at, never by the file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from arena.gatekeepers.deep import deep_warden
from arena.gatekeepers.deep.deep_warden import DeepWarden
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.held_out import held_out_keys
from arena.gatekeepers.measures import token_warden
from arena.gatekeepers.measures.renderers import load_renderer
from arena.gatekeepers.measures.row_choice import RowChoice
from arena.gatekeepers.measures.token_warden import TokenWarden
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.gatekeepers.row_identity import row_key
from arena.gatekeepers.row_reader import read_rows
from core.errors import RealmError, Unavailable
from core.files import DISK_TROUBLE

logger = logging.getLogger(__name__)

VALIDATORS = {token_warden.VALIDATOR_NAME: token_warden.VALIDATOR_VERSION}
DEEP_VALIDATORS = {**VALIDATORS, deep_warden.VALIDATOR_NAME: deep_warden.VALIDATOR_VERSION}


def prove_files(quests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`prove_file` of each; one job for many small quests."""
    return [prove_file(**quest) for quest in quests]


def make_ready(tokenizer: str, profile: str) -> None:
    """Load what the next proofs will need; raises `InvalidInput` when it cannot be used."""
    load_renderer(tokenizer, profile)


def prove_file(path: str, schema_id: str, rows: int, yardstick: dict[str, Any]) -> dict[str, Any]:
    """Measure a quest file of `rows` rows with a `Yardstick`, given as a dict. Never raises for what is in the file.

    Raises `InvalidInput` when the yardstick's tokenizer or profile cannot be used, and `Unavailable` when the disk does
    not let the file be read: no quest is to blame for that.
    The verdict has the keys `accepted`, `rows`, `schema_id`, `errors`, `warnings`, their totals and `validators` as in
    `arena.gatekeepers.gate.inspect_file`, and `tokens` (`TokenCensus.to_json` with `looked_at` in words; None when no
    row could be looked at), `content` (the statistics of `DeepWarden`; None without DEEP) and `tokenizer` (the
    fingerprint of what rendered it).
    """
    measure = Yardstick(**yardstick)
    loaded = load_renderer(measure.tokenizer, measure.profile)
    findings = Findings()
    tokens: dict[str, Any] | None = None
    content: dict[str, Any] | None = None
    try:
        with ExitStack() as stack:
            warden = TokenWarden(loaded.renderer, measure, findings)
            deep = stack.enter_context(DeepWarden(measure.profile, findings)) if measure.deep else None
            held_out = held_out_keys(measure.held_out)
            tokens = _look_through(Path(path), schema_id, rows, warden, deep, held_out, findings)
            content = deep.finish() if deep is not None else None
    except (OSError, RealmError) as error:
        if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
            raise Unavailable(f"{path} cannot be read: {error.strerror}.") from error
        line = error.details.get("line") if isinstance(error, RealmError) else None
        findings.error(line, None, f"the file cannot be measured: {error}")
    except Exception as error:  # fails closed: a bug in a gate must not let a file in (C8)
        logger.exception("STANDARD failed on %s", path, extra={"event": "gate_failed", "file": path})
        findings.error(None, None, f"the gates failed on this file and did not let it in: {error!r}")
    return {
        "accepted": not findings.total_errors and tokens is not None,
        "rows": rows,
        "schema_id": schema_id,
        "tokens": tokens,
        "content": content,
        "tokenizer": loaded.fingerprint,
        "errors": [finding.to_json() for finding in findings.errors],
        "total_errors": findings.total_errors,
        "warnings": [finding.to_json() for finding in findings.warnings],
        "total_warnings": findings.total_warnings,
        "validators": dict(DEEP_VALIDATORS if measure.deep else VALIDATORS),
    }


def _look_through(
    path: Path,
    schema_id: str,
    rows: int,
    warden: TokenWarden,
    deep: DeepWarden | None,
    held_out: Mapping[bytes, str],
    findings: Findings,
) -> dict[str, Any] | None:
    """One pass over all rows; returns the statistics, None when no row could be counted."""
    before = path.stat()
    choice = RowChoice(rows, before.st_size)
    found = 0
    for row in read_rows(path, schema_id):
        if held_out or deep is not None:
            key = row_key(row)
            if (file := held_out.get(key)) is not None:
                message = f"this row is held out in data/validation/{file}, and what is learned cannot be measured with"
                findings.error(row.line, None, message)
            if deep is not None:
                deep.take(row, key)
        if choice.takes(found, row):
            warden.take(row)
        found += 1
    for row in choice.longest():
        warden.take(row, drawn=False)
    looked_at = choice.describe(found)
    warden.finish(looked_at)
    after = path.stat()
    changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    if changed or found != rows:
        findings.error(None, None, f"the file changed after it was checked: {found} rows were found of {rows}")
    return {"looked_at": looked_at, **warden.census.to_json()} if warden.census.rows else None
