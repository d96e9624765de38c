"""The Chronicle: every version of the model that was ever saved, compared with each other, and the way back to one.

It writes nothing. Chapters are what the ledger's history tells, numbered `v001` on in the order in which they were
saved; numbers begin anew where that file was so long that its beginning is gone. To go back is a rewind.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import CheckpointRecord, checkpoint_names, match_checkpoint
from core.errors import Conflict, NotFound, RealmError
from core.files import read_json
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore
from vault.manifest import listed_files
from vault.snapshots import snapshot_days

logger = logging.getLogger(__name__)

Where = Literal["present", "kept", "branch", "snapshot", "archive", "gone"]
"""`present` is HEAD, `kept` another one in `current_model/`."""

GONE: Where = "gone"

LearnedIn = Callable[[Path], list[dict[str, Any]]]
"""The quests that a checkpoint has learned (`arena.annals.learned`)."""

NUMBERS = (
    "step", "train_loss", "val_loss", "accuracy", "perplexity", "learning_rate", "epoch", "total_examples_trained",
    "steps_left_out", "size_bytes",
)  # fmt: skip
WORDS = (
    "hero", "base_model", "skill_name", "skill_level", "training_file", "has_optimizer", "milestone", "code_version"
)  # fmt: skip

_VERSION = re.compile(r"v0*([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Chapter:
    """One version of the model."""

    version: str
    """Such as `v007`."""
    name: str
    """Of its checkpoint."""
    where: Where
    path: str | None
    """None where its files are gone."""
    gone_because: str | None
    """What the ledger was told when it left `current_model/`."""
    record: CheckpointRecord
    """Its numbers when it was saved."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "record": self.record.to_view()}


@dataclass(frozen=True)
class Difference:
    """One thing in which two versions differ."""

    name: str
    first: Any
    second: Any
    change: float | None = None
    """Second less first, of numbers."""


@dataclass(frozen=True)
class Comparison:
    """Two versions of the model."""

    first: Chapter
    second: Chapter
    numbers: list[Difference]
    """Of the records: steps, losses, sizes and what they were trained with."""
    config: list[Difference]
    """Of `config.json` and `generation_config.json`, by dotted name."""
    settings: list[Difference]
    """Of the settings of the last quest that each has learned."""
    files: dict[str, list[str]]
    """By `same`, `changed`, `only_first`, `only_second`; empty where the files of one are gone."""
    learned_by_both: int
    """Quests at the beginning of both histories that are the same in both."""
    learned_by_first: list[dict[str, Any]]
    """Quests that only the first one has learned, or more of them."""
    learned_by_second: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "first": self.first.to_json(), "second": self.second.to_json()}


class Chronicle:
    """That of one realm; reads files, so call it in a thread."""

    def __init__(
        self,
        paths: RealmPaths,
        ledger: CheckpointLedger | None = None,
        *,
        learned_in: LearnedIn = lambda checkpoint: [],
        go_back: Callable[[str], Any] | None = None,
    ) -> None:
        """`learned_in` reads the journal of a checkpoint, `go_back` is the rewind: both are the arena's."""
        self._paths = paths
        self._ledger = ledger or CheckpointLedger.of(paths)
        self._learned_in = learned_in
        self._go_back = go_back

    def read_history(self, hero: str | None = None) -> list[Chapter]:
        """All chapters, oldest first; with `hero`, those of one."""
        told = self._told()
        # One that nobody has told of yet is the latest.
        records = {record.canonical_name: record for record in reversed(self._ledger.list_all())}
        for name, record in records.items():
            told.setdefault(name, (record, None))
        places, head = self._places(), CheckpointStore(self._paths.current_model).head()
        chapters = []
        for number, (name, (record, because)) in enumerate(told.items(), start=1):
            where, path = places.get(name, (GONE, None))
            because = None if where == "kept" else because
            record = records.get(name, replace(record, path=str(path or record.path)))
            place = str(path) if path is not None else None
            is_present = name == head and where == "kept"
            chapters.append(Chapter(f"v{number:03}", name, "present" if is_present else where, place, because, record))
        return [each for each in chapters if hero is None or each.record.hero == hero]

    def find(self, reference: str) -> Chapter:
        """One chapter by `v007`, step, name, `latest` or `best`; raises `NotFound`."""
        chapters = self.read_history()
        if number := _VERSION.fullmatch(reference):
            found = [each for each in chapters if each.version == f"v{int(number[1]):03}"]
        else:
            record = self._ledger.find(reference)
            names = [each.name for each in chapters]
            name = record.canonical_name if record else match_checkpoint(reference, names)
            found = [each for each in chapters if each.name == name]
        if not found:
            raise NotFound(f"The chronicle has no chapter {reference!r}.", hint="`realm ledger history` shows them.")
        return found[-1]

    def compare(self, first: str, second: str) -> Comparison:
        """What has changed from one version to another; of one whose files are gone, what its record tells."""
        one, two = self.find(first), self.find(second)
        learned = [self._learned(each) for each in (one, two)]
        both = _common(*learned)
        settings = [quests[-1]["settings"] if quests else {} for quests in learned]
        return Comparison(
            one, two,
            numbers=list(_differences(_numbers_of(one.record), _numbers_of(two.record))),
            config=list(_differences(_config_of(one), _config_of(two))) if one.path and two.path else [],
            settings=list(_differences(*map(_flat, settings))) if all(settings) else [],
            files=_files(one, two),
            learned_by_both=both,
            learned_by_first=learned[0][both:],
            learned_by_second=learned[1][both:],
        )  # fmt: skip

    def get_lineage(self, reference: str) -> list[dict[str, Any]]:
        """The quests that a version has learned, in their order (`arena.annals.learned.learned_in`)."""
        return self._learned(self.find(reference))

    def restore_chapter(self, reference: str) -> Any:
        """Make a version the present one: `realm rewind`, with its answer. Raises `Conflict` where its files are not
        among those that a rewind finds."""
        chapter = self.find(reference)
        if chapter.where not in ("present", "kept", "branch"):
            raise Conflict(
                f"The files of {chapter.version} ({chapter.name}) are not in {self._paths.current_model}.",
                hint="`realm vault restore` brings a backup of it to a branch, if there is one.",
            )
        if self._go_back is None:
            raise Conflict("This chronicle was opened for reading only.", hint="Use Realm().vault.chronicle.")
        return self._go_back(chapter.name)

    # --- inside -------------------------------------------------------------------------------------------

    def _told(self) -> dict[str, tuple[CheckpointRecord, str | None]]:
        """By name, in the order in which they were first told of: the record, and why it was forgotten at last."""
        told: dict[str, tuple[CheckpointRecord, str | None]] = {}
        for line in self._lines():
            record = CheckpointRecord.from_json({key: line[key] for key in line if key in _FIELDS})
            if record is None or not record.canonical_name:
                continue
            reason = line.get("reason") if line.get("event") == "forgotten" else None
            told[record.canonical_name] = (record, reason if isinstance(reason, str) else None)
        return told

    def _lines(self) -> Iterator[dict[str, Any]]:
        file = self._paths.ledger_history
        for path in (file.with_suffix(".1.jsonl"), file):
            try:
                raw = path.read_bytes()
            except OSError:
                continue
            for text in raw.splitlines():
                try:
                    line = json.loads(text)
                except ValueError:  # torn by a kill
                    continue
                if isinstance(line, dict):
                    yield line

    def _places(self) -> dict[str, tuple[Where, Path]]:
        """Where each checkpoint lies; of several places the first of these."""
        store = CheckpointStore(self._paths.current_model)
        found: dict[str, tuple[Where, Path]] = {each.name: ("kept", each.path) for each in store.list()}
        for each in reversed(store.branches()):
            found.setdefault(each.name, ("branch", each.path))
        for day in reversed(snapshot_days(self._paths)):
            folder = self._paths.snapshots / day.isoformat()
            for name in checkpoint_names(folder):
                found.setdefault(name, ("snapshot", folder / name))
        for folder in sorted(self._paths.archive.glob("[!.]*/"), reverse=True):
            for name in checkpoint_names(folder):
                found.setdefault(name, ("archive", folder / name))
        return found

    def _learned(self, chapter: Chapter) -> list[dict[str, Any]]:
        if chapter.path is None:
            return []
        try:
            return self._learned_in(Path(chapter.path))
        except (OSError, ValueError, RealmError) as error:
            logger.warning("%s does not tell what it learned: %s", chapter.name, error, extra={"event": "lineage_odd"})
            return []


_FIELDS = {field.name for field in fields(CheckpointRecord)}


def _numbers_of(record: CheckpointRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in (*NUMBERS, *WORDS)}


def _config_of(chapter: Chapter) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("config.json", "generation_config.json"):
        body = read_json(Path(str(chapter.path)) / name)
        if isinstance(body, dict):
            found |= _flat(body, f"{name.removesuffix('.json')}.")
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*first, *second)):
        one, two = first.get(name), second.get(name)
        if one != two:
            both_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, two))
            yield Difference(name, one, two, two - one if both_numbers else None)  # type: ignore[operator]


def _files(one: Chapter, two: Chapter) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {"same": [], "changed": [], "only_first": [], "only_second": []}
    try:
        first, second = (listed_files(Path(each.path)) if each.path else {} for each in (one, two))
    except RealmError as error:
        logger.warning("files are not compared: %s", error, extra={"event": "manifest_odd"})
        return told
    if not (first and second):
        return told
    for name in sorted(first.keys() | second.keys()):
        if name in first and name in second:
            told["same" if first[name] == second[name] else "changed"].append(name)
        else:
            told["only_first" if name in first else "only_second"].append(name)
    return told


def _common(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> int:
    """How many quests at the beginning are the same, and learned as far, in both."""
    pairs = zip(first, second, strict=False)
    return next((number for number, (one, two) in enumerate(pairs) if one != two), min(len(first), len(second)))
