"""What people are shown of strongholds: each with its room, and how many assets lie in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core.knocking import Knocker
from vault.assets import LOCAL, StrongholdType
from vault.storage_registry import StorageRegistry, Stronghold

LOOK_SECONDS = 5.0
"""For a stronghold to tell of its room."""
UNKNOWN_ROOM = dict.fromkeys(("total_gb", "used_gb", "free_gb", "usage_percent"))


def stronghold_rows(
    base: Path,
    storages: StorageRegistry,
    knocker: Knocker,
    counted: Mapping[str, int],
    kind_of: Callable[[str], StrongholdType],
) -> list[dict[str, Any]]:
    """The base directory, every storage, and the zones; `counted` tells how many assets lie in which.

    See `vault.catalog.answers.Strongholds`.
    """
    own = Stronghold(name=LOCAL, stronghold_type=StrongholdType.LOCAL, base_path=str(base))
    here = [own, *storages.strongholds()]
    # A look at a dead mount never returns.
    seen = knocker.ask_all({each.name: partial(storages.status_of, each) for each in here}, LOOK_SECONDS)
    rows = [
        {
            "name": each.name,
            "type": each.stronghold_type,
            "host": each.host,
            "base_path": each.base_path,
            "asset_count": counted.get(each.name, 0),
            **_room(seen[each.name]),
        }
        for each in here
    ]
    elsewhere = counted.keys() - {each.name for each in here}
    return rows + [_zone(name, kind_of(name), number) for name, number in counted.items() if name in elsewhere]


def _room(seen: dict[str, Any] | BaseException) -> dict[str, Any]:
    """What a stronghold has told of its room; one that does not answer is offline."""
    return {"status": "offline", **UNKNOWN_ROOM} if isinstance(seen, BaseException) else seen


def _zone(name: str, kind: StrongholdType, number: int) -> dict[str, Any]:
    return {
        "name": name, "type": kind, "host": name, "base_path": None, "asset_count": number, "status": "unknown",
        **UNKNOWN_ROOM,
    }  # fmt: skip
