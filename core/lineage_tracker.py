"""How often the files of each generator pass each validator: `status/data_lineage.json` (spec 1.3).

The file is the one owner of these counts: they are read back at start, so that numbers survive restarts (law 7). One
that cannot be read is set aside, as the next write would make its loss final.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from core.files import DISK, Files, read_json

logger = logging.getLogger(__name__)

MOST_NAMES = 200
"""Generators and validators that are told apart; further ones are counted as `other@other` (law 9)."""
MOST_ERRORS = 50
TOP_ERRORS = 5
SAMPLES_FOR_WORST = 10
"""A generator with fewer files is never called the worst (spec 1.3)."""
OTHER = "other@other"

# `line 17` and `column 3` differ from file to file; what went wrong is the rest.
_NUMBER = re.compile(r"\d+")


class LineageTracker:
    """Counts verdicts. One process writes the file; its methods are called from one thread at a time."""

    def __init__(self, path: Path, files: Files = DISK) -> None:
        self._path = path
        self._files = files
        kept = read_json(path)
        if not isinstance(kept, dict) and path.exists():
            _set_aside(path, files)
        body: dict[str, Any] = kept if isinstance(kept, dict) else {}
        self._total = _count(body.get("total_validations"))
        self._last_updated: str | None = body.get("last_updated")
        self._generators = _entries(body.get("generators"), "by_validator")
        self._validators = _entries(body.get("validators"), "by_generator")

    def count(
        self, generator: str, validators: Mapping[str, str], *, passed: bool, errors: Iterable[str], now: datetime
    ) -> None:
        """Add one file's verdict; `errors` are the messages of a file that did not pass.

        `generator` is `id@version` (`core.lineage.generator_of`), `validators` maps names to versions.
        """
        self._total += 1
        self._last_updated = now.isoformat()
        maker = self._entry(self._generators, generator, "by_validator")
        _add(maker, passed)
        maker["last_seen"] = self._last_updated
        _note_errors(maker, errors)
        for name, version in validators.items():
            validator = f"{name}@{version}"
            judge = self._entry(self._validators, validator, "by_generator")
            _add(judge, passed)
            judge["last_seen"] = self._last_updated
            _add(self._entry(maker["by_validator"], validator, None), passed)
            _add(self._entry(judge["by_generator"], generator, None), passed)

    def write(self) -> None:
        """Write the counts; raises `OSError` when the disk refuses, and they go out with the next call."""
        self._files.write_json(self._path, self._stored(), durable=True)

    def _entry(self, entries: dict[str, Any], name: str, parts: str | None) -> dict[str, Any]:
        key = name if name in entries or len(entries) < MOST_NAMES else OTHER
        entry: dict[str, Any] = entries.setdefault(key, _new_entry(parts))
        return entry

    def _stored(self) -> dict[str, Any]:
        generators = {name: _shown(entry) for name, entry in self._generators.items()}
        validators = {name: _shown(entry) for name, entry in self._validators.items()}
        return {
            "total_validations": self._total,
            "last_updated": self._last_updated,
            "generators": generators,
            "validators": validators,
            "summary": _summary(generators, validators),
        }


def read_lineage_counts(path: Path) -> dict[str, Any]:
    """The body of `status/data_lineage.json`; the same with zero counts when nothing was validated yet."""
    body = read_json(path)
    if isinstance(body, dict) and "generators" in body:
        return body
    empty: dict[str, Any] = {"total_validations": 0, "last_updated": None, "generators": {}, "validators": {}}
    return {**empty, "summary": _summary({}, {})}


def _set_aside(path: Path, files: Files) -> None:
    """Rename a damaged file to `{name}.corrupt`, in place of one set aside before (law 9)."""
    aside = path.with_name(f"{path.name}.corrupt")
    try:
        files.replace(path, aside)
    except OSError as error:
        logger.warning("%s is damaged and stays: %s", path, error, extra={"event": "lineage_damaged"})
        return
    logger.warning("%s was damaged; it is %s now, counts begin anew", path, aside, extra={"event": "lineage_damaged"})


def _new_entry(parts: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"total": 0, "passed": 0, "failed": 0}
    if parts is not None:
        entry |= {parts: {}, "last_seen": None}
    if parts == "by_validator":
        entry["errors"] = {}
    return entry


def _add(entry: dict[str, Any], passed: bool) -> None:
    entry["total"] += 1
    entry["passed" if passed else "failed"] += 1


def _note_errors(maker: dict[str, Any], errors: Iterable[str]) -> None:
    kinds = {_NUMBER.sub("#", message)[:200] for message in errors}
    for kind in kinds:
        maker["errors"][kind] = maker["errors"].get(kind, 0) + 1
    if len(maker["errors"]) > MOST_ERRORS:
        maker["errors"] = dict(_most_frequent(maker["errors"], MOST_ERRORS // 2))


def _most_frequent(errors: Mapping[str, int], number: int) -> list[tuple[str, int]]:
    return sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:number]


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(entry)
    shown["fail_rate"] = _rate(entry)
    if "errors" in entry:
        shown["top_errors"] = [
            {"message": message, "files": files} for message, files in _most_frequent(entry["errors"], TOP_ERRORS)
        ]
    return shown


def _rate(entry: Mapping[str, Any]) -> float:
    return round(entry["failed"] / entry["total"], 4) if entry["total"] else 0.0


def _summary(generators: Mapping[str, Any], validators: Mapping[str, Any]) -> dict[str, Any]:
    totals = {key: sum(entry[key] for entry in generators.values()) for key in ("total", "failed")}
    return {
        "total_generators": len(generators),
        "total_validators": len(validators),
        "worst_generator": _worst(generators),
        "worst_validator": _worst(validators),
        "overall_fail_rate": _rate(totals),
    }


def _worst(entries: Mapping[str, Any]) -> dict[str, Any] | None:
    judged = {name: entry for name, entry in entries.items() if entry["total"] >= SAMPLES_FOR_WORST}
    if not judged:
        return None
    name = max(judged, key=lambda name: (judged[name]["fail_rate"], judged[name]["total"]))
    return {"id": name, "fail_rate": judged[name]["fail_rate"], "total": judged[name]["total"]}


def _entries(kept: Any, parts: str) -> dict[str, Any]:
    """What was written before, as far as it has the shape of counts: somebody may have edited the file."""
    if not isinstance(kept, dict):
        return {}
    found = {}
    for name, raw in kept.items():
        if not isinstance(raw, dict):
            continue
        entry = _new_entry(parts) | _counts(raw) | {"last_seen": raw.get("last_seen")}
        inner = raw.get(parts)
        if isinstance(inner, dict):
            entry[parts] = {key: _counts(value) for key, value in inner.items() if isinstance(value, dict)}
        if "errors" in entry and isinstance(raw.get("errors"), dict):
            entry["errors"] = {str(key): _count(value) for key, value in raw["errors"].items()}
        found[str(name)] = entry
    return found


def _counts(raw: Mapping[str, Any]) -> dict[str, int]:
    passed, failed = _count(raw.get("passed")), _count(raw.get("failed"))
    return {"total": passed + failed, "passed": passed, "failed": failed}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
