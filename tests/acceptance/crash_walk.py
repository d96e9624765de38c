"""The walk: one realm that dies at one crash point after the other, each time in the middle of real work.

Each station puts its places into the `REALM_CRASH_LIST`, drops a quest, wishes for something if need be, and goes on
once the list is empty, whichever process took a place, and the quest is over. The control process is brought up again
by the test, the trainer by the control process.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from arena.supervision.position_file import Phase
from tests.acceptance.quest_files import chat_rows, write_quest
from tests.acceptance.reckoning import Dropped
from tests.acceptance.undying_realm import UndyingRealm

NUDGE_SECONDS = 8.0
"""After so long another quest is dropped: a save that went by before its place was the first is made again."""
STATION_SECONDS = 90.0
SEALED_LANES = ("failed", "recently_completed")
GATE_SECONDS = 240.0
"""For some thousand rows, where others want all cores."""

Drop = Callable[[Path, str, int], Dropped]
"""Puts a quest of that stem into an inbox; the number keeps rows apart."""
Provocation = Callable[[UndyingRealm, Dropped], None]


def plain(inbox: Path, stem: str, number: int) -> Dropped:
    """Five steps, the last one short."""
    write_quest(inbox / f"{stem}.jsonl", 33, number)
    return Dropped(f"{stem}.jsonl", 33)


def packed(inbox: Path, stem: str, number: int) -> Dropped:
    text = "".join(f"{row}\n" for row in chat_rows(20, number))
    (inbox / f"{stem}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return Dropped(f"{stem}.jsonl.gz", 20)


def in_folder(inbox: Path, stem: str, number: int) -> Dropped:
    (inbox / "campaign").mkdir(exist_ok=True)
    write_quest(inbox / "campaign" / f"{stem}.jsonl", 9, number)
    return Dropped(f"{stem}.jsonl", 9)


def twice(inbox: Path, stem: str, number: int) -> Dropped:
    """Two epochs of three steps."""
    (inbox / f"{stem}.jsonl.meta.json").write_text(json.dumps({"epochs": 2}))
    write_quest(inbox / f"{stem}.jsonl", 24, number)
    return Dropped(f"{stem}.jsonl", 24, epochs=2)


def broken(inbox: Path, stem: str, number: int) -> Dropped:
    write_quest(inbox / f"{stem}.jsonl", [*chat_rows(4, number), '{"messages": []}'])
    return Dropped(f"{stem}.jsonl", 5, outcome="rejected")


def dull(inbox: Path, stem: str, number: int) -> Dropped:
    """Long enough to be skipped in its middle."""
    write_quest(inbox / f"{stem}.jsonl", 5000, number)
    return Dropped(f"{stem}.jsonl", 5000, outcome="skipped")


def nothing(realm: UndyingRealm, quest: Dropped) -> None:
    """The quest alone leads to the places."""


def skip_it(realm: UndyingRealm, quest: Dropped) -> None:
    def is_stepped() -> bool:
        here = realm.position()
        stepping = here is not None and here.phase is Phase.STEPPING and here.quest_step >= 5
        return stepping and (realm.paths.lane("processing") / quest.name).exists()

    # Its gate stands back for all other programs of a busy machine.
    realm.wait(is_stepped, f"steps of {quest.name}", GATE_SECONDS)
    realm.wish("skip")


def save_twice(realm: UndyingRealm, quest: Dropped) -> None:
    """Asked for over HTTP, which kills who writes the wish down, and by hand."""
    realm.wait(realm.services, "the sites")
    with suppress(httpx.HTTPError):
        realm.http("POST", "/api/training/control", {"action": "save", "reason": "the walk wishes it"})
    realm.wish("save")


def stop_it(realm: UndyingRealm, quest: Dropped) -> None:
    """As a service manager does it, once there is something to be saved."""
    stem = quest.name.removesuffix(".jsonl")
    realm.wait(lambda: realm.lane_of(stem) in ("awaiting_seal", "recently_completed"), f"the end of {quest.name}")
    realm.wait(realm.services, "the sites")
    realm.signal(signal.SIGTERM)


def move_by_hand(realm: UndyingRealm, quest: Dropped) -> None:
    """The quest goes to another lane without its sidecar, while all is paused; then training goes on."""
    normal, high = (realm.paths.lane(lane) / quest.name for lane in ("normal", "high"))
    realm.wait(normal.exists, f"{quest.name} on the board")
    normal.rename(high)
    realm.wish("resume")


@dataclass(frozen=True)
class Station:
    """Places that are passed one after the other by what one quest leads to."""

    places: tuple[str, ...]
    """Lines of the list; `{file}` is the name of the quest's file in `processing/`."""
    drop: Drop = plain
    provoke: Provocation = nothing
    paused: bool = False
    """Whether the quest is dropped into a realm that stands still."""


STATIONS = (
    Station(("write.training_status.json", "unpack.written", "unpack.judged", "move.sidecar"), packed),
    Station(("move.linked",), twice),
    Station(("move.original",), packed),
    Station(("move.unlinked",), in_folder),
    Station(("intake.admitted",), broken),
    Station(("write.{file}.meta.json", "claim.chosen", "claim.told", "claim.moved")),
    # Three deaths in one place are three strikes, so no quest dies at more than two of those before its first step.
    Station(("journal.before", "append.torn.journal.jsonl", "write.journal.jsonl")),
    Station(("journal.written", "battle.step.{file}:1", "battle.step.{file}:3", "battle.step.{file}:5")),
    # Each death is followed by a replay and a save.
    Station(("save.file.model.safetensors", "save.file.tokenizer.json", "save.file.optimizer.pt")),
    Station(("save.file.scheduler.pt", "save.file.rng_state.pth", "save.file.trainer_state.json")),
    Station(("save.file.journal.jsonl", "save.file.cursor.json", "save.file..ledger.json")),
    Station(("save.staged", "save.manifest", "save.renamed")),
    Station(("save.synced", "write.HEAD", "save.head")),
    Station(("battle.step.{file}:4",), twice),
    # On the way from one start to the next the books are put in order.
    Station(("ledger.told", "start.swept", "append.torn.checkpoint_history.jsonl", "write.checkpoint_ledger.json")),
    Station(("trash.renamed", "trash.begun")),
    Station(("catalog.striking", "prune.forgotten", "books.sealed")),
    Station(("catalog.entering",)),
    # The trainer saves and goes when its daemon is gone.
    Station(("books.recorded", "exit.saved")),
    Station(("control.resumed",), provoke=move_by_hand, paused=True),
    Station(("control.skip_bound",), dull, skip_it),
    Station(("write..save", "control.save_taken"), provoke=save_twice),
    Station(("stop.begun", "exit.recorded"), provoke=stop_it),
    # The trainer first; its daemon, which waits for it, goes on to its own end.
    Station(("write..exit.json", "stop.alone"), provoke=stop_it),
)


class Walk:
    """Leads a realm past stations; `dropped` is all that was put into its inbox."""

    def __init__(self, realm: UndyingRealm, list_file: Path) -> None:
        self.dropped: list[Dropped] = []
        self._realm = realm
        self._list_file = list_file

    def left(self) -> list[str]:
        """The lines of the list that nobody has taken; whoever has taken one is dead by then, as it kept the lock."""
        with self._list_file.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            return stream.read().splitlines()

    def go(self, stations: Iterable[Station]) -> None:
        """Up, past all stations, and on until everything is sealed; the realm stays up."""
        self._list_file.touch()
        for number, station in enumerate(stations):
            self._pass(station, f"quest_{number:02}")
        self._realm.wait(lambda: self._are_over(SEALED_LANES), "the seal of all quests", STATION_SECONDS)
        self._realm.revive()
        self._realm.wait(self._realm.services, "the sites")

    def _are_over(self, lanes: Iterable[str]) -> bool:
        """Whether all that was dropped lies in these lanes."""
        return sum(len(self._realm.lane(lane)) for lane in lanes) == len(self.dropped)

    def _pass(self, station: Station, stem: str) -> None:
        realm = self._realm
        lines = [place.format(file=f"{stem}.jsonl") for place in station.places]
        self._list_file.write_text("".join(f"{line}\n" for line in lines))
        if not self.dropped:
            realm.up(awake=False, REALM_CRASH_LIST=str(self._list_file))
        if station.paused:
            realm.wish("pause")
            realm.wait(lambda: realm.status()["status"] == "paused", "a pause")
        quest = self._drop(station.drop, stem)
        station.provoke(realm, quest)
        nudge_at = time.monotonic() + NUDGE_SECONDS

        def passed() -> bool:
            nonlocal nudge_at
            if not self.left():
                return True
            if time.monotonic() > nudge_at:
                nudge_at += NUDGE_SECONDS
                self._drop(plain, f"more_{len(self.dropped):02}")
                if len(self.left()) == len(lines):
                    station.provoke(realm, quest)
            return False

        realm.wait(passed, f"all of {', '.join(lines)}", STATION_SECONDS)
        # The next station's deaths must not be strikes for this one's quest.
        realm.wait(lambda: self._are_over((*SEALED_LANES, "awaiting_seal")), "the end of its quest", STATION_SECONDS)

    def _drop(self, drop: Drop, stem: str) -> Dropped:
        self.dropped.append(drop(self._realm.paths.inbox, stem, 10_000 * len(self.dropped)))
        return self.dropped[-1]
