"""What goes and what stays of checkpoints, branches, archives, snapshots and backups: the policy alone, without a disk.

Each kind has a limit of its own, all together have a cap in bytes, and whoever needs room may ask for some. A pin
outweighs them all (spec 1.19: sacred, protected, guarded; the rest is expendable).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from core.checkpoint_records import BYTES_PER_GB, extract_step
from vault.assets import LOCAL

Kind = Literal["branch", "weights_only", "resumable", "snapshot", "archive", "copy", "backup"]
"""A copy was fetched from another host to `models/`; a backup lies in a stronghold (`vault.seals`)."""

CHECKPOINTS: tuple[Kind, ...] = ("weights_only", "resumable")
"""The kinds that lie in `current_model/` itself."""

PRECEDENCE: Mapping[Kind, int] = {
    "branch": 0, "weights_only": 1, "resumable": 1, "snapshot": 2, "archive": 3, "copy": 4, "backup": 4
}  # fmt: skip
"""What goes first where room is short: what was left behind, then checkpoints, then snapshots, then whole models."""

PLURALS: Mapping[Kind, str] = {
    "branch": "checkpoints on branches",
    "weights_only": "checkpoints without an optimizer",
    "resumable": "checkpoints to resume from",
    "snapshot": "snapshots",
    "archive": "archived models",
    "copy": "fetched checkpoints",
    "backup": "backups",
}

Inode = tuple[int, int]
"""Device and inode number: what two hard links have in common."""


class Protection(StrEnum):
    """How strongly something is held; the seed's words."""

    SACRED = "sacred"
    """What a model began with."""
    PROTECTED = "protected"
    """The present, the newest, the best, and what somebody refers to."""
    GUARDED = "guarded"
    """Too recent to go."""
    EXPENDABLE = "expendable"


@dataclass(frozen=True)
class Pin:
    """Why something stays."""

    protection: Protection
    reason: str


@dataclass(frozen=True)
class Holding:
    """One thing that is kept or deleted as a whole."""

    kind: Kind
    name: str
    path: Path
    order: tuple[int, ...]
    """Oldest first among its kind: numbers alone, never text or a file's time (A10)."""
    since: datetime
    """When it came to lie where it lies."""
    files: Mapping[Inode, int] = field(repr=False)
    """Bytes of each of its files."""
    step: int | None = None
    hero: str | None = None
    """Whose model it is; of archives only, None for one that was not made by the realm."""
    stronghold: str = LOCAL
    """Where it lies; only backups lie elsewhere."""
    is_own: bool = True
    """Whether this realm has put it there; others may have put backups beside its own."""

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


@dataclass(frozen=True)
class Limit:
    """How much of one kind is kept."""

    count: int
    days: float | None = None


@dataclass(frozen=True)
class Limits:
    """All that the policy is told to keep to."""

    kinds: Mapping[Kind, Limit]
    total_bytes: int
    cap_name: str = "retention.total_gigabytes"
    """What people call `total_bytes`."""


@dataclass(frozen=True)
class Deletion:
    """One thing that goes."""

    holding: Holding
    reason: str
    """A sentence for people."""
    frees_bytes: int
    """0 where all its files are also those of something that is still there."""


@dataclass(frozen=True)
class Kept:
    """One thing that stays, and the pin that holds it; None where it is merely within all limits."""

    holding: Holding
    pin: Pin | None

    @property
    def protection(self) -> Protection:
        return self.pin.protection if self.pin else Protection.EXPENDABLE


@dataclass(frozen=True)
class Verdict:
    """What the policy says of everything there is."""

    deletions: list[Deletion]
    """In the order in which they are carried out."""
    kept: list[Kept]


class Tally:
    """Bytes on disk of a set of holdings; a file that several of them share counts once."""

    def __init__(self, holdings: Iterable[Holding]) -> None:
        self._holders: Counter[Inode] = Counter()
        self.total_bytes = 0
        for holding in holdings:
            for inode, size in holding.files.items():
                self.total_bytes += size if not self._holders[inode] else 0
                self._holders[inode] += 1

    def holds_all_of(self, holding: Holding) -> bool:
        """True when nothing is freed by deleting a holding that is not in this tally."""
        return all(self._holders[inode] > 0 for inode in holding.files)

    def take_out(self, holding: Holding) -> int:
        """Take a holding of this tally out of it; returns the bytes that are freed."""
        before = self.total_bytes
        for inode, size in holding.files.items():
            self._holders[inode] -= 1
            self.total_bytes -= size if not self._holders[inode] else 0
        return before - self.total_bytes


def pin_down(
    holdings: Sequence[Holding], given: Mapping[Path, Pin], *, head: str | None, min_age: timedelta, now: datetime
) -> dict[Path, Pin]:
    """Every pin, by the path of what it holds; the strongest reason where there are several.

    `given` are those that others know of: the best, a champion, the base of a hero. `head` is the name of the
    checkpoint that a restart resumes from.
    """
    mine = {holding.path: given[holding.path] for holding in holdings if holding.path in given}
    pins = {path: pin for path, pin in mine.items() if pin.protection is Protection.SACRED}
    for holding, reason in _protected(holdings, head):
        pins.setdefault(holding.path, Pin(Protection.PROTECTED, reason))
    pins = {**mine, **pins}
    for holding, reason in _guarded(holdings, min_age, now):
        pins.setdefault(holding.path, Pin(Protection.GUARDED, reason))
    return pins


def weigh(holdings: Sequence[Holding], pins: Mapping[Path, Pin], limits: Limits, *, now: datetime) -> Verdict:
    """What must go so that each kind keeps to its limit and all together to the cap; as far as the pins allow."""
    surplus = {each.path: reason for each, reason in _surplus(holdings, limits, now) if each.path not in pins}
    going = [each for each in holdings if each.path in surplus]
    staying = [each for each in holdings if each.path not in surplus]
    total = Tally(staying).total_bytes
    told = f"All that is kept takes {_gigabytes(total)}, more than {limits.cap_name} allows."
    over = _enough(staying, pins, total - limits.total_bytes)
    surplus |= {each.path: told for each in over}
    return _verdict(holdings, [*going, *over], pins, surplus)


def make_way(holdings: Sequence[Holding], pins: Mapping[Path, Pin], wanted_bytes: int) -> Verdict:
    """What goes so that so many bytes become free, the oldest first; all that nothing holds, if need be."""
    going = _enough(holdings, pins, wanted_bytes)
    told = f"Room for {_gigabytes(wanted_bytes)} was needed, and it is the oldest that nothing holds."
    return _verdict(holdings, going, pins, {each.path: told for each in going})


def single_out(holdings: Sequence[Holding], pins: Mapping[Path, Pin], names: Collection[str]) -> Verdict:
    """What goes because somebody has named it, as far as the pins allow."""
    going = [each for each in holdings if each.name in names and each.path not in pins]
    return _verdict(holdings, going, pins, dict.fromkeys((each.path for each in going), "It was named."))


def give_up(holdings: Sequence[Holding], pins: Mapping[Path, Pin], chosen: Holding) -> Verdict:
    """What goes because somebody wants to be rid of this one: itself, or nothing where a pin holds it."""
    going = [] if chosen.path in pins else [chosen]
    return _verdict(holdings, going, pins, {chosen.path: "Somebody asked for it."})


# --- inside ---------------------------------------------------------------------------------------------------


def _protected(holdings: Sequence[Holding], head: str | None) -> Iterable[tuple[Holding, str]]:
    own = sorted((each for each in holdings if each.kind in CHECKPOINTS), key=_order, reverse=True)
    for each in own:
        if each.name == head:
            yield each, "HEAD: the next start resumes from it."
    for each in own[:1]:
        yield each, "It is the newest checkpoint."
    for each in _before_head(own, head)[:1]:
        yield each, "Training falls back to it, should HEAD be torn."
    snapshots = sorted((each for each in holdings if each.kind == "snapshot"), key=_order, reverse=True)
    for each in snapshots[:1]:
        yield each, "It is the newest snapshot."
    latest: set[str] = set()
    for each in sorted((each for each in holdings if each.kind == "archive"), key=_order, reverse=True):
        if each.hero is None:
            yield each, "Its name is not one that the realm gives, so it is left alone."
        elif each.hero not in latest:
            latest.add(each.hero)
            yield each, f"It is the latest model of {each.hero}; `realm hero use {each.hero}` brings it back."


def _before_head(own: Sequence[Holding], head: str | None) -> list[Holding]:
    """Of the checkpoints `own`, newest first, those that training may resume from without HEAD.

    None that is newer: it was taken back. None of HEAD's own step either: one that is saved anew because the first has
    rotted must not have that for its stand-in. Where HEAD's directory is gone, the first of them is the present one.
    """
    resumable = [each for each in own if each.kind == "resumable"]
    if head is None:
        return resumable
    here = next((each.step for each in own if each.name == head), None)
    before = extract_step(head) + 1 if here is None else here
    return [each for each in resumable if each.step is not None and each.step < before]


def _guarded(holdings: Sequence[Holding], min_age: timedelta, now: datetime) -> Iterable[tuple[Holding, str]]:
    today = now.astimezone().date()
    for each in holdings:
        if each.kind == "snapshot":
            days = (today - date.fromordinal(each.order[0])).days
            if days in (0, 1):
                yield each, f"It is {'yesterday' if days else 'today'}’s snapshot."
        # Either way: what a clock that was wrong has dated a little into the future is recent all the same.
        elif abs(now - each.since) < min_age:
            yield each, f"It is younger than {min_age / timedelta(hours=1):g} h."


def _surplus(holdings: Sequence[Holding], limits: Limits, now: datetime) -> Iterable[tuple[Holding, str]]:
    for kind, limit in limits.kinds.items():
        newest_first = sorted((each for each in holdings if each.kind == kind), key=_order, reverse=True)
        for place, each in enumerate(newest_first):
            if place >= limit.count:
                yield each, f"It is not one of the {limit.count} newest {PLURALS[kind]}."
            elif limit.days is not None and now - each.since > timedelta(days=limit.days):
                yield each, f"It has lain there for more than {limit.days:g} days."


def _enough(holdings: Sequence[Holding], pins: Mapping[Path, Pin], wanted_bytes: int) -> list[Holding]:
    """The oldest of what nothing holds, until their end frees so many bytes together; none that frees nothing."""
    left = Tally(holdings)
    target = left.total_bytes - wanted_bytes
    going: list[Holding] = []
    for each in sorted((each for each in holdings if each.path not in pins), key=_going_order):
        if left.total_bytes <= target:
            break
        left.take_out(each)
        going.append(each)
    # All files of one may be links that something else keeps, such as a snapshot.
    return [each for each in going if not left.holds_all_of(each)]


def _verdict(
    holdings: Sequence[Holding], going: list[Holding], pins: Mapping[Path, Pin], reasons: Mapping[Path, str]
) -> Verdict:
    left = Tally(holdings)
    deletions = [Deletion(each, reasons[each.path], left.take_out(each)) for each in sorted(going, key=_going_order)]
    gone = {each.path for each in going}
    kept = [Kept(each, pins.get(each.path)) for each in holdings if each.path not in gone]
    return Verdict(deletions, sorted(kept, key=lambda each: _going_order(each.holding)))


def _order(holding: Holding) -> tuple[int, ...]:
    return holding.order


def _going_order(holding: Holding) -> tuple[int, tuple[int, ...]]:
    return PRECEDENCE[holding.kind], holding.order


def _gigabytes(count: int) -> str:
    return f"{count / BYTES_PER_GB:.3g} GB"
