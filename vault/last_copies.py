"""The last verified copy of a pinned asset is not deleted, whatever the policy and whichever host is down (ADR 0020).

An asset is pinned where this realm, or any of its zones as far as it was heard, says that it cannot do without it. A
copy of it goes only while another one is known to be whole: read by whoever has it, now or a short time ago, at a place
that answers and does not delete it itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from core.checkpoint_records import checkpoint_names, match_checkpoint
from core.errors import Conflict, RealmError, Unavailable
from vault.assets import LOCAL
from vault.checkpoints import BRANCHES
from vault.manifest import MANIFEST, read_manifest
from vault.pin_book import AssetPin, PinBook
from vault.retention import Holding, Pin, Protection
from vault.seals import read_seal
from vault.stores import Store, Stores
from vault.whole_copies import WholeCopies, leaving, place_of, relied_on, same_blocks

logger = logging.getLogger(__name__)

OWN = ("resumable", "weights_only", "branch", "archive", "snapshot")
"""Kinds that the realm itself has made in its own directory."""
KEPT = "retention.keep names it."
FIRM = (Protection.SACRED, Protection.PROTECTED)
"""What being young does not make: only such pins hold an asset wherever it lies."""


@dataclass(frozen=True)
class Part:
    """An asset that goes when a holding goes: the holding itself, or a checkpoint in an archive or a snapshot."""

    name: str
    digest: str | None
    """Of its manifest; None where it has none, or one that cannot be read."""
    folder: Path
    manifest: Mapping[str, Any] | None = None
    """That of its seal, where it has none of its own."""


class Others(Protocol):
    """The zones, as far as they can be asked about their copies."""

    def are_there(self) -> bool:
        """Whether there is any, or nobody can tell."""
        ...

    def witnesses(self, part: Part, within: timedelta) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """By zone what each says of its copy (`vault.witness`); those that are away say nothing."""
        ...


class Nobody:
    """No zones."""

    def are_there(self) -> bool:
        """None."""
        return False

    def witnesses(self, part: Part, within: timedelta) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """None."""
        return iter(())


class LastCopies:
    """The copies that one realm can delete."""

    others: Others
    """Set by whoever knows the zones."""

    def __init__(self, stores: Stores, book: PinBook, whole: WholeCopies, within: Callable[[], timedelta]) -> None:
        """`within` is how long ago a copy may have been read to count as whole."""
        self.whole = whole
        self.others = Nobody()
        self._stores = stores
        self._book = book
        self._within = within
        self._own: list[AssetPin] | None = None
        self._bases: list[Path] = []

    def note_own(
        self, stock: Sequence[Holding], told: Sequence[AssetPin], bases: Collection[Path], *, everything: bool
    ) -> None:
        """Write down what this realm holds now: of `stock`, which is `everything` there is, or checkpoints only.

        `bases` is where else something lies that is referred to. What it held before stays held where it is not there
        any more: then it was lost, not given up.
        """
        self._bases = [*bases]
        own = [each for each in stock if each.kind in OWN]
        there = {part.digest for each in own for part in parts_of(each)} | {each.name for each in own}
        try:
            before = self._read().get(LOCAL, [])
            lost = [pin for pin in before if not {pin.checksum or pin.name, pin.name} & there]
            # Named by people, who may change their minds.
            self._own = [*told, *(pin for pin in lost if pin not in told and not (everything and pin.reason == KEPT))]
            self._book.write(LOCAL, self._own)
        except (OSError, Unavailable) as error:
            # A full disk does not keep anything from being deleted that is not held any more.
            self._own = [*told]
            logger.warning("the pins are not written down: %s", error, extra={"event": "pins_unwritten"})

    def told(self) -> list[AssetPin]:
        """What other hosts are told of: what they can know again by its content."""
        return [pin for pin in self._read().get(LOCAL, []) if pin.checksum is not None]

    def why_held(self, holding: Holding, stock: Sequence[Holding], now: datetime) -> str | None:
        """Why a holding may not go, in words; None where it may."""
        try:
            with ExitStack() as held:
                for part, reason in self._in_need(holding):
                    self._prove(part, reason, holding, stock, now, held)
        except (OSError, RealmError) as error:
            return error.message if isinstance(error, RealmError) else f"It cannot be told who relies on it: {error}."
        return None

    @contextmanager
    def leaving(self, holding: Holding, stock: Callable[[], Sequence[Holding]], now: datetime) -> Iterator[None]:
        """Around its deletion: what is relied on stays until the end. Raises `Conflict` where it may not go.

        `stock` is taken only where something has to be proved.
        """
        with ExitStack() as held:
            store = self._store_of(holding)
            if store is not None:
                held.enter_context(self._stores.locked(store))
            in_need = self._in_need(holding)
            # Marked before anybody is asked: of two that rely on each other, at least one is refused.
            for part in parts_of(holding) if in_need and store is None else ():
                held.enter_context(leaving(part.folder))
            everything = stock() if in_need else ()
            for part, reason in in_need:
                self._prove(part, reason, holding, everything, now, held)
            yield

    # --- inside -------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, list[AssetPin]]:
        """The book; a damaged one is begun anew where there is no zone whose pins could be in it."""
        try:
            return self._book.read()
        except Unavailable:
            if self.others.are_there():
                raise
            self._book.begin_anew()
            return {}

    def _in_need(self, holding: Holding) -> list[tuple[Part, str]]:
        """What of it needs another copy, and why."""
        known = self._read()
        own = known.pop(LOCAL, []) if self._own is None else self._own
        # What another zone knows by a name alone is something of its own.
        others = [(zone, pin) for zone, told in known.items() for pin in told if zone != LOCAL and pin.checksum]
        pins = [*((LOCAL, pin) for pin in own), *others]
        found = []
        for part in parts_of(holding):
            if held := next((each for each in pins if _is_of(each[1], part)), None):
                zone, pin = held
                found.append((part, f"{pin.reason} ({'this realm' if zone == LOCAL else zone})"))
            elif holding.kind == "copy":
                found.append((part, "It was fetched, and is not given up before another copy is known."))
        return found

    def _prove(
        self, part: Part, reason: str, holding: Holding, stock: Sequence[Holding], now: datetime, held: ExitStack
    ) -> None:
        """Find another whole copy, and hold it until the end of `held`; raises `Conflict` where there is none."""
        if part.digest is None:
            raise Conflict(f"{reason} Its manifest cannot be read, so no other copy can be compared with it.")
        within = self._within()
        for other in stock:
            store = self._store_of(other)
            # Of one stronghold there is one lock, which is held already.
            lock = store if other.stronghold != holding.stronghold or holding.kind != "backup" else None
            for same in parts_of(other) if other.path != holding.path else ():
                if _is_same(same, part) and self._is_proved_by(same, part, store, lock, now, held):
                    return
        for same in map(_part, self._bases):
            if _is_same(same, part) and self._is_proved_by(same, part, None, None, now, held):
                return
        mine = place_of(part.folder)
        answers = []
        for zone, told in self.others.witnesses(part, within):
            if told.get("holds") is True and told.get("checksum") == part.digest and told.get("place") != mine:
                return
            answers.append(f"{zone}: {told.get('reason') or 'that is this very copy'}")
        said = f" {' '.join(answers[:5])}" if answers else ""
        raise Conflict(f"{reason} No other whole copy of it answers now.{said}")

    def _is_proved_by(
        self, same: Part, part: Part, store: Store | None, lock: Store | None, now: datetime, held: ExitStack
    ) -> bool:
        """Whether a copy on this host, or in a stronghold, is whole; it is held then until the end of `held`."""

        def look() -> bool:
            if same_blocks(part.folder, same.folder):
                return True
            manifest = None if same.digest is not None and same.manifest is None else same.manifest or part.manifest
            return self.whole.verified_at(same.folder, str(part.digest), manifest, now, self._within()) is not None

        with ExitStack() as trying:
            try:
                if lock is not None:
                    trying.enter_context(self._stores.locked(lock))
                if store is None:
                    trying.enter_context(relied_on(same.folder))
                is_whole = look() if store is None else self._stores.within(store, look, what="reading")
            except (OSError, RealmError):  # somebody deletes it, or its mount is dead: it proves nothing
                return False
            if is_whole:
                held.push(trying.pop_all())
            return is_whole

    def _store_of(self, holding: Holding) -> Store | None:
        return self._stores.get(holding.stronghold) if holding.kind == "backup" else None


def own_pins(
    stock: Sequence[Holding], pins: Mapping[Path, Pin], referred_to: Mapping[Path, Pin], keep: Collection[str]
) -> list[AssetPin]:
    """What this realm cannot do without: what is pinned of `stock`, what others refer to wherever it lies, and what
    `retention.keep` names, in backups too. Archives and snapshots are told of by their names."""
    pinned = [(each, pin) for each in stock if (pin := pins.get(each.path)) and each.kind != "backup"]
    parts = [
        (part, pin)
        for each, pin in pinned
        for part in ([Part(each.name, None, each.path)] if each.kind in ("archive", "snapshot") else parts_of(each))
    ]
    parts += [(Part(path.name, None, path), pin) for path, pin in referred_to.items()]
    stored = [part for each in stock if each.kind in ("backup", "copy") for part in parts_of(each)]
    kept = Pin(Protection.PROTECTED, KEPT)
    parts += [(part, kept) for part in stored if any(is_named(part.name, each) for each in keep)]
    told = (AssetPin(part.name, part.digest, pin.protection, pin.reason) for part, pin in parts)
    return list(dict.fromkeys(each for each in told if each.protection in FIRM))


def is_named(name: str, reference: str) -> bool:
    """Whether a step, an id or a name means what is called so."""
    return reference == name or match_checkpoint(reference, [name]) is not None


def parts_of(holding: Holding) -> list[Part]:
    """The assets that a holding is made of."""
    if holding.kind == "backup":
        try:
            seal = read_seal(holding.path, holding.stronghold)
        except RealmError:  # nobody can say what is in it
            return [Part(holding.name, None, holding.path)]
        manifest = None if seal.has_own_manifest else seal.note.manifest
        return [Part(seal.note.name, seal.digest, seal.content, manifest)]
    if holding.kind == "snapshot":
        return [_part(holding.path / name) for name in checkpoint_names(holding.path)]
    if holding.kind == "archive":
        folders = [holding.path, *(holding.path / BRANCHES).glob("*/")]
        inside = [_part(folder / name) for folder in folders for name in checkpoint_names(folder)]
        return [*inside, Part(holding.name, None, holding.path)]
    return [_part(holding.path)]


def _part(folder: Path) -> Part:
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return Part(folder.name, None, folder)
    return Part(folder.name, _digest(folder, status.st_mtime_ns, status.st_size, status.st_ino), folder)


@lru_cache(maxsize=4096)
def _digest(folder: Path, mtime_ns: int, size: int, inode: int) -> str | None:
    """Read once for each writing: a round looks at all of them."""
    manifest = read_manifest(folder)
    return None if manifest is None else str(manifest["digest"])


def _is_of(pin: AssetPin, part: Part) -> bool:
    """By content where both tell of it; else by name."""
    if pin.checksum is not None and part.digest is not None:
        return pin.checksum == part.digest
    return pin.name == part.name


def _is_same(other: Part, part: Part) -> bool:
    """Whether it may be another copy. One without a manifest of its own is compared with that of the seal."""
    if other.digest is not None:
        return other.digest == part.digest
    return part.manifest is not None and other.name == part.name and os.path.lexists(other.folder)
