"""Who made a quest file: the registry of generators and what a sidecar or a file's name tells (spec 1.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

GENERATOR_REGISTRY: dict[str, dict[str, str]] = {
    "discrimination": {
        "version": "1.0.0",
        "source": "generated",
        "description": "Proposed answers to be judged right or wrong, and corrected",
    },
    "syllo_local": {"version": "1.0.0", "source": "generated", "description": "Syllable puzzles made on this machine"},
    "syllo_api": {"version": "1.0.0", "source": "skill API", "description": "Syllable puzzles of the SY skill API"},
    "bin_api": {"version": "1.0.0", "source": "skill API", "description": "Binary arithmetic of the BIN skill API"},
    "curriculum": {"version": "1.0.0", "source": "generated", "description": "Quests for the level being trained"},
    "manual": {"version": "1.0.0", "source": "human", "description": "Dropped by a person"},
}
"""Known generators (seed 003). A file may name any other in its sidecar."""

# Case does not matter: `train_SYLLO_` and `train_syllo_` are the same maker (failure C13).
_BY_NAME = (
    (re.compile(r"discrimination", re.IGNORECASE), "discrimination"),
    (re.compile(r"syllo|(?:^|_)sy_", re.IGNORECASE), "syllo_api"),
    (re.compile(r"binary|(?:^|_)bin_", re.IGNORECASE), "bin_api"),
    (re.compile(r"auto_gen|curriculum", re.IGNORECASE), "curriculum"),
)

MAX_LABEL = 60


def generator_of(file_name: str, lineage: Mapping[str, Any]) -> str:
    """`id@version` of a file's maker: what its sidecar says, else what its name suggests, else `manual`."""
    generator_id = _label(lineage.get("generator_id"))
    if generator_id is None:
        generator_id = next((known for pattern, known in _BY_NAME if pattern.search(file_name)), "manual")
        version = GENERATOR_REGISTRY[generator_id]["version"]
    else:
        version = _label(lineage.get("generator_version")) or "unknown"
    return f"{generator_id}@{version}"


def _label(value: Any) -> str | None:
    """A name as it may stand in a key and on a page; None for anything that is no name."""
    if not isinstance(value, str):
        return None
    return "".join(sign for sign in value if sign.isprintable() and sign != "@").strip()[:MAX_LABEL] or None
