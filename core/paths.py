"""Where everything of one realm lies: the only place that knows a path below the base directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInput

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that holds `realm.py`: code, shipped heroes and examples."""

PRIORITIES = ("high", "normal", "low")
LANES = (*PRIORITIES, "processing", "awaiting_seal", "failed", "recently_completed")
"""Directories below `queue/`; a quest is in exactly one of them (law 1)."""


@dataclass(frozen=True)
class RealmPaths:
    """All paths of the realm whose data lie under `base`."""

    base: Path

    @property
    def inbox(self) -> Path:
        return self.base / "inbox"

    @property
    def queue(self) -> Path:
        return self.base / "queue"

    def lane(self, name: str) -> Path:
        if name not in LANES:
            raise ValueError(f"no lane named {name!r}")
        return self.queue / name

    @property
    def queue_metadata(self) -> Path:
        return self.queue / "queue_metadata.json"

    @property
    def unpacking(self) -> Path:
        """Packed files are unpacked here, beside the lanes, so that what comes out need not be copied."""
        return self.queue / ".unpacking"

    @property
    def trials(self) -> Path:
        """Files that people only want to have judged lie here meanwhile; nothing in it outlives the realm's end."""
        return self.queue / ".trials"

    @property
    def tokens(self) -> Path:
        """The cache of tokens (`arena.tokens`): beside the lanes, as it goes with them; may be deleted at any time."""
        return self.queue / ".tokens"

    @property
    def sketches(self) -> Path:
        """What rows of all quests are like (`arena.gatekeepers.likeness`); may be deleted at any time."""
        return self.queue / ".sketches"

    @property
    def row_books(self) -> Path:
        """What each row of a quest was learned with (`arena.rowbook`): beside the lanes, as it goes with them."""
        return self.queue / ".rows"

    @property
    def control(self) -> Path:
        return self.base / "control"

    @property
    def status(self) -> Path:
        return self.base / "status"

    @property
    def training_status(self) -> Path:
        return self.status / "training_status.json"

    @property
    def battle_status(self) -> Path:
        return self.status / "battle_status.json"

    @property
    def inbox_status(self) -> Path:
        return self.status / "inbox_status.json"

    @property
    def services(self) -> Path:
        return self.status / "services.json"

    @property
    def ledger_index(self) -> Path:
        return self.status / "checkpoint_ledger.json"

    @property
    def ledger_history(self) -> Path:
        return self.status / "checkpoint_history.jsonl"

    @property
    def data_lineage(self) -> Path:
        return self.status / "data_lineage.json"

    @property
    def self_correction(self) -> Path:
        return self.status / "self_correction.json"

    @property
    def curriculum_state(self) -> Path:
        return self.status / "curriculum_state.json"

    @property
    def evaluation_ledger(self) -> Path:
        return self.status / "evaluation_ledger.json"

    @property
    def places(self) -> Path:
        """Which directories `current_model/` and `queue/` are (`arena.disk.places`)."""
        return self.status / "places.json"

    @property
    def discrimination_status(self) -> Path:
        return self.status / "discrimination_generator.json"

    @property
    def scrub_record(self) -> Path:
        return self.status / "scrub.json"

    @property
    def pins(self) -> Path:
        """Which assets this realm and its zones cannot do without (`vault.pin_book`)."""
        return self.status / "pins.json"

    @property
    def storage_status(self) -> Path:
        return self.status / "storage_status.json"

    @property
    def notices(self) -> Path:
        """How far each target of `notifications` has been told (`arena.ravens.bookings`)."""
        return self.status / "notices.json"

    @property
    def settings_history(self) -> Path:
        """Settings files of before (`core.shell.settings_history`)."""
        return self.configs / ".history"

    @property
    def saga_db(self) -> Path:
        return self.status / "saga.db"

    @property
    def catalog_db(self) -> Path:
        """Which assets exist on which host; in the checkout, beside the code of the vault."""
        return self.base / "vault" / "catalog.db"

    @property
    def current_model(self) -> Path:
        return self.base / "current_model"

    @property
    def examinations(self) -> Path:
        """Answers of the model that the saga does not have yet (`arena.examinations`)."""
        return self.current_model / "examinations"

    @property
    def archive(self) -> Path:
        """Models of earlier heroes. Not below `models/`, which people put on other disks: models move by a rename."""
        return self.base / "archive"

    @property
    def snapshots(self) -> Path:
        """One directory for each day (`vault.snapshots`)."""
        return self.base / "snapshots"

    @property
    def exports(self) -> Path:
        """Models handed out from the page, one directory each (`arena.hall.exporting`)."""
        return self.base / "exports"

    @property
    def backups(self) -> Path:
        """Backups on this very disk; a stronghold has such a folder too (`vault.seals`)."""
        return self.base / "backups"

    @property
    def models(self) -> Path:
        return self.base / "models"

    @property
    def logs(self) -> Path:
        return self.base / "logs"

    @property
    def validation(self) -> Path:
        return self.base / "data" / "validation"

    @property
    def flagged_examples(self) -> Path:
        return self.base / "data" / "flagged_examples"

    @property
    def configs(self) -> Path:
        return self.base / "configs"

    @property
    def config_file(self) -> Path:
        return self.configs / "realm.yaml"

    @property
    def hosts_file(self) -> Path:
        """The host registry (`core.hosts`); a `hosts.json` beside it is read where there is no such file."""
        return self.configs / "hosts.yaml"

    @property
    def lock(self) -> Path:
        return self.base / ".realm.lock"

    @property
    def hero_change(self) -> Path:
        """A change of heroes that is not finished yet."""
        return self.base / ".hero-change.json"

    @property
    def token_file(self) -> Path:
        """What a site beyond loopback wants to be shown; private (`core.http.tokens`)."""
        return self.base / ".realm.token"

    @property
    def stop_file(self) -> Path:
        """Ends the realm when a user creates it; `control/.stop` only stops training."""
        return self.base / ".stop"

    def create(self) -> None:
        """Make every data directory, leaving those that exist; raises `InvalidInput` naming the one that cannot be."""
        folders = [self.inbox / name for name in PRIORITIES]
        folders += [self.lane(name) for name in LANES]
        folders += [self.control, self.status, self.current_model, self.models, self.logs]
        folders += [self.validation, self.flagged_examples, self.configs]
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InvalidInput(
                    f"The folder {folder} cannot be made: {error.strerror}.",
                    hint="Choose a directory that you may write to with --base-dir.",
                ) from error


def resolve_base_dir(option: str | os.PathLike[str] | None, env: Mapping[str, str] = os.environ) -> Path:
    """`--base-dir`, else `REALM_BASE_DIR`, else the checkout (DESIGN section 6)."""
    chosen = option or env.get("REALM_BASE_DIR") or CHECKOUT
    try:
        base = Path(chosen).expanduser().resolve()
    except (RuntimeError, OSError) as error:  # `~nobody`, or a link that leads to itself
        raise InvalidInput(f"{chosen} is not a directory that can be used: {error}.") from error
    if base.exists() and not base.is_dir():
        raise InvalidInput(f"{base} is a file, not a directory.", hint="Choose a directory with --base-dir.")
    return base
