"""Which things share a budget, and how large it is: the realm's own, fetched copies, and backups by stronghold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.checkpoint_records import BYTES_PER_GB
from core.settings import RetentionSettings
from vault.retention import Holding, Kind, Limit, Limits
from vault.stores import Store

UNBOUNDED = 1 << 62


@dataclass(frozen=True)
class Purge:
    """Which backups somebody wants to be deleted."""

    names: tuple[str, ...] = ()
    """These; else those of this realm beyond what follows."""
    keep: int | None = None
    """Only so many of each stronghold stay, the newest."""
    older_than_days: float | None = None
    stronghold: str | None = None
    """Only those in it."""

    def limits(self) -> Limits:
        """What stays of one stronghold."""
        return Limits({"backup": Limit(UNBOUNDED if self.keep is None else self.keep, self.older_than_days)}, UNBOUNDED)


def budgets(
    stock: Sequence[Holding], settings: RetentionSettings, store_of: Callable[[str], Store]
) -> list[tuple[list[Holding], Limits]]:
    """What shares a budget, and that budget. Backups of other realms, and those in a stronghold that is not cleaned up
    by itself, have none."""
    copies = Limits(
        {"copy": Limit(settings.copies)}, settings.copies_gigabytes * BYTES_PER_GB, "retention.copies_gigabytes"
    )
    groups = [
        ([each for each in stock if each.kind not in ("copy", "backup")], _limits(settings)),
        ([each for each in stock if each.kind == "copy"], copies),
    ]
    for name, backups in by_stronghold(each for each in stock if each.kind == "backup").items():
        store = store_of(name)
        limits = limits_of(store, settings) if store.is_automatic else Limits({}, UNBOUNDED)
        groups.append(([each for each in backups if each.is_own], limits))
        groups.append(([each for each in backups if not each.is_own], Limits({}, UNBOUNDED)))
    return groups


def by_stronghold(holdings: Iterable[Holding]) -> dict[str, list[Holding]]:
    """Holdings by where they lie."""
    found: dict[str, list[Holding]] = {}
    for each in holdings:
        found.setdefault(each.stronghold, []).append(each)
    return found


def limits_of(store: Store, settings: RetentionSettings) -> Limits:
    """The budget of the backups in one stronghold: that of its profile, else that of the settings."""
    days = settings.backup_days if store.max_days is None else store.max_days
    limits: dict[Kind, Limit] = {"backup": Limit(settings.backups, days)}
    if store.max_bytes is None:
        return Limits(limits, settings.backup_gigabytes * BYTES_PER_GB, "retention.backup_gigabytes")
    return Limits(limits, store.max_bytes, f"max_size_gb of {store.name}")


def _limits(settings: RetentionSettings) -> Limits:
    kinds: dict[Kind, Limit] = {
        "resumable": Limit(settings.resumable),
        "weights_only": Limit(settings.weights_only),
        "branch": Limit(settings.branches, settings.branch_days),
        "archive": Limit(settings.archives, settings.archive_days),
        "snapshot": Limit(settings.snapshots),
    }
    return Limits(kinds, settings.total_gigabytes * BYTES_PER_GB)
