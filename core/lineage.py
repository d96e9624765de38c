"""Who made a quest file: the registry of generators, the sidecar beside a file, and what a name tells (spec 1.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from core.files import DISK, Files, read_json

SIDECAR_SUFFIX = ".meta.json"

GENERATOR_REGISTRY: dict[str, dict[str, str]] = {
    "discrimination": {
        "version": "1.0.0",
        "source": "generated",
        "description": "Proposed answers to be judged right or wrong, and corrected",
    },
    "syllo_local": {"version": "1.0.0", "source": "generated", "description": "Syllable puzzles made on this machine"},
    "syllo_api": {"version": "1.0.0", "source": "skill API", "description": "Syllable puzzles of the SY skill API"},
    "bin_local": {"version": "1.0.0", "source": "generated", "description": "Binary arithmetic made on this machine"},
    "bin_api": {"version": "1.0.0", "source": "skill API", "description": "Binary arithmetic of the BIN skill API"},
    "curriculum": {"version": "1.0.0", "source": "generated", "description": "Quests for the level being trained"},
    "self_correction": {
        "version": "1.0.0",
        "source": "generated",
        "description": "Problems like those that were answered wrongly in an examination",
    },
    "manual": {"version": "1.0.0", "source": "human", "description": "Dropped by a person"},
}
"""Known generators (seed 003). A file may name any other in its sidecar."""

# Case does not matter: `train_SYLLO_` and `train_syllo_` are the same maker (failure C13).
_BY_NAME = (
    (re.compile(r"discrimination", re.IGNORECASE), "discrimination"),
    (re.compile(r"self_correction", re.IGNORECASE), "self_correction"),
    (re.compile(r"syllo|(?:^|_)sy_", re.IGNORECASE), "syllo_api"),
    (re.compile(r"binary|(?:^|_)bin_", re.IGNORECASE), "bin_api"),
    (re.compile(r"auto_gen|curriculum", re.IGNORECASE), "curriculum"),
)

MAX_LABEL = 60


@dataclass(frozen=True, kw_only=True)
class FileLineage:
    """What the sidecar of a quest file tells of its making. A person may have edited it: what is no fact is None."""

    generator_id: str
    generator_version: str
    generated_at: str | None = None
    """ISO 8601 UTC."""
    example_count: int | None = None
    """Rows that were written."""
    params: dict[str, Any] = field(default_factory=dict)
    """What the generator was asked for."""
    validated_at: str | None = None
    validator_versions: dict[str, str] = field(default_factory=dict)
    """Version by name of each gate that judged it."""
    validation_passed: bool | None = None
    """None before any gate has."""
    validation_errors: int | None = None
    validation_warnings: int | None = None
    source: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Whatever else its maker wants to be kept."""

    def to_json(self) -> dict[str, Any]:
        """The sidecar; what is not known is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None and value != {}}


def lineage_now(generator_id: str, *, count: int, params: Mapping[str, Any], now: datetime) -> FileLineage:
    """The lineage of `count` rows that a registered generator has just made; raises `InvalidInput` for any other."""
    known = GENERATOR_REGISTRY.get(generator_id)
    if known is None:
        raise InvalidInput(
            f"There is no generator {generator_id!r}.", hint=f"Known are {', '.join(sorted(GENERATOR_REGISTRY))}."
        )
    return FileLineage(
        generator_id=generator_id, generator_version=known["version"], generated_at=now.isoformat(),
        example_count=count, params=dict(params), source=known["source"],
    )  # fmt: skip


def sidecar_path(data_file: Path) -> Path:
    """`x.jsonl.meta.json`, beside the file wherever that lies (failure C4)."""
    return data_file.with_name(data_file.name + SIDECAR_SUFFIX)


def read_lineage(data_file: Path) -> FileLineage | None:
    """What the sidecar tells; None where there is none, or none that names a generator. Unknown keys are ignored."""
    raw = read_json(sidecar_path(data_file))
    if not isinstance(raw, dict) or (generator_id := _label(raw.get("generator_id"))) is None:
        return None
    known = {each.name: raw[each.name] for each in fields(FileLineage) if _fits(each.type, raw.get(each.name))}
    version = _label(raw.get("generator_version")) or "unknown"
    return FileLineage(**{**known, "generator_id": generator_id, "generator_version": version})


def write_lineage(data_file: Path, lineage: FileLineage, *, files: Files = DISK) -> Path:
    """Write the sidecar of a file that no gate has taken in yet, before the file itself; returns its path."""
    path = sidecar_path(data_file)
    files.write_json(path, lineage.to_json(), durable=False)
    return path


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


_KINDS: dict[str, type] = {"str": str, "int": int, "bool": bool, "dict": dict}


def _fits(declared: Any, value: Any) -> bool:
    """Whether a value of a sidecar has the declared type, such as `int | None`, and says something."""
    return type(value) is _KINDS[re.split(r"\W", str(declared), maxsplit=1)[0]]
