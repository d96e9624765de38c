"""Three hosts on one disk: real directories, treasuries and witnesses, and a network that can be cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.checkpoint_ledger import CheckpointLedger
from core.errors import RealmError
from core.files import Files
from core.paths import RealmPaths
from core.settings import RetentionSettings
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.last_copies import Part
from vault.retention import Pin, Protection
from vault.treasury import Treasury
from vault.whole_copies import WholeCopies
from vault.witness import Witness

NOW = datetime(2099, 11, 21, 12, 0, tzinfo=UTC)
STEPS = (1000, 2000)
HOSTS = ("trainer", "box", "lab")
MOUNTING = ("trainer", "box")
"""Those that have the share."""


def name_of(step: int) -> str:
    return f"checkpoint-{step}-20260101-0930"


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it, and what was done stays done."""


class Mortal(Files):
    """Dies at the n-th change of names, before or after it; no fsync, as nobody pulls a plug here."""

    def __init__(self) -> None:
        self.dies_in: int | None = None

    def fsync(self, fd: int) -> None:
        """Nothing."""

    def rename_dir(self, source: Path, target: Path) -> None:
        self._live()
        super().rename_dir(source, target)
        self._live()

    def unlink(self, path: Path) -> None:
        self._live()
        super().unlink(path)

    def _live(self) -> None:
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dies_in = None
                raise Killed


class Network:
    """What a host hears of the others: those that are up, and that it may act itself while it waits."""

    def __init__(self, hosts: Mapping[str, Host], me: str) -> None:
        self._hosts = hosts
        self._me = me

    def are_there(self) -> bool:
        return True

    def witnesses(self, part: Part, within: timedelta) -> Iterator[tuple[str, Mapping[str, Any]]]:
        me = self._hosts[self._me]
        for name, host in self._hosts.items():
            if name != self._me and me.is_up and host.is_up and name not in me.cut_off:
                told = host.witness.testify(part.name, str(part.digest), within, NOW)
                # Whoever was asked may go on to delete the same asset, before his word has led to anything.
                meddle, host.meddle = host.meddle, None
                if meddle is not None:
                    meddle()
                yield name, told


class Host:
    """One realm on one machine."""

    def __init__(self, name: str, base: Path, hosts: Mapping[str, Host]) -> None:
        self.name = name
        self.paths = RealmPaths(base)
        self.paths.create()
        self.files = Mortal()
        self.is_up = True
        self.cut_off: set[str] = set()
        self.meddle: Callable[[], object] | None = None
        self.pinned: set[int] = set()
        self._hosts = hosts
        self.start()

    def start(self) -> None:
        """A process begins, and remembers nothing."""
        limits = RetentionSettings(
            resumable=1, weights_only=0, copies=0, backups=1, min_age_hours=0, branches=0, proof_days=1e-9, enabled=True
        )
        self.treasury = Treasury(
            self.paths, CheckpointLedger.of(self.paths), lambda: limits, pins=self.pins, files=self.files
        )
        self.treasury.last_copies.others = Network(self._hosts, self.name)
        self.witness = Witness(self.find, self.paths.base, WholeCopies(), own_disk=lambda path: True)

    def pins(self) -> dict[Path, Pin]:
        return {
            self.paths.current_model / name_of(step): Pin(Protection.SACRED, "Mira is made of it.")
            for step in self.pinned
        } | {self.paths.models / name_of(step): Pin(Protection.SACRED, "Mira is made of it.") for step in self.pinned}

    def find(self, name: str) -> Asset | None:
        """As a keeper does it: every place of this host at which the name is found."""
        folders = (self.paths.current_model, self.paths.models)
        found = tuple(
            Location(LOCAL, str(folder / name), LocationStatus.VERIFIED)
            for folder in folders
            if (folder / name).is_dir()
        )
        return Asset(name, AssetType.CHECKPOINT, name, locations=found) if found else None

    def copies(self, step: int) -> list[Path]:
        folders = (self.paths.current_model, self.paths.models)
        return [folder / name_of(step) for folder in folders if (folder / name_of(step)).is_dir()]

    def do(self, act: Callable[[], object], dies_in: int | None = None) -> None:
        """Something that may be killed; the next process sweeps up when it prunes."""
        self.files.dies_in = dies_in
        try:
            act()
        except Killed:
            self.start()
        except RealmError:
            pass
        self.files.dies_in = None
