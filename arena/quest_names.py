"""Names of quest files: plain ones (`x.jsonl`), packed ones (`x.jsonl.gz`, `x.json` …), and the sidecars beside them.

A name only says what may be taken; what a file is, its first bytes say (`arena.gatekeepers.scrolls.containers`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from arena.quests import SIDECAR_SUFFIX, sidecar_of
from core.files import read_json

DATA_SUFFIX = ".jsonl"
"""What the trainer reads, and the only kind that waits in a lane."""

PACKED_SUFFIXES = (".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst", ".json")
"""Files that are unpacked to JSONL on their way in; one that is rejected lies in `failed/` as it was dropped."""

QUEST_SUFFIXES = (DATA_SUFFIX, *PACKED_SUFFIXES)

REPORT_SUFFIX = ".rejection.json"


def is_quest_name(name: str) -> bool:
    """True for the name of a plain or packed quest file; sidecars and rejection reports are none."""
    return name.endswith(QUEST_SUFFIXES) and not name.endswith((SIDECAR_SUFFIX, REPORT_SUFFIX))


def split_name(name: str) -> tuple[str, str]:
    """Stem and suffix, such as `("x", ".jsonl.gz")`; the suffix of a name that is no quest file's is empty."""
    if is_quest_name(name):
        suffix = next(suffix for suffix in QUEST_SUFFIXES if name.endswith(suffix))
        return name.removesuffix(suffix), suffix
    return name, ""


def plain_name(name: str) -> str:
    """The name under which the rows of a quest file are queued: `x.jsonl` for `x.jsonl.gz`."""
    return split_name(name)[0] + DATA_SUFFIX


def report_of(data_file: Path) -> Path:
    """The rejection report beside a file in `failed/`."""
    return data_file.with_name(data_file.name + REPORT_SUFFIX)


def dropped_sidecar_of(data_file: Path) -> Path:
    """The sidecar that a user put beside a file, or where it would lie.

    For `x.jsonl.gz`, generators write `x.jsonl.gz.meta.json` or, before packing, `x.jsonl.meta.json`. The second is
    taken when the first is missing, unless there is an `x.jsonl` to which it belongs.
    """
    own = sidecar_of(data_file)
    plain = data_file.with_name(plain_name(data_file.name))
    if plain == data_file or os.path.lexists(own) or os.path.lexists(plain):
        return own
    return sidecar_of(plain)


def lineage_dropped_with(data_file: Path) -> dict[str, Any]:
    """What a user or generator wrote into the sidecar of a file that is not taken in yet; `{}` without one."""
    raw = read_json(dropped_sidecar_of(data_file))
    return raw if isinstance(raw, dict) else {}
