"""Databases, locks and checkpoints lie on a local disk; the inbox may lie anywhere."""

from __future__ import annotations

from pathlib import Path

from core.mounts import MOUNTINFO, Mount, mount_of
from watchtower.doctor.checkup import Finding, Patient


def check(patient: Patient, table: Path = MOUNTINFO) -> Finding:
    paths = patient.paths
    places = {"status": paths.status, "queue": paths.queue, "current_model": paths.current_model, "inbox": paths.inbox}
    mounts = {name: mount_of(path, table) for name, path in places.items()}
    details = {name: mount.fs_type if mount else None for name, mount in mounts.items()}
    if any(mount is None for mount in mounts.values()):
        return Finding("warning", "This system does not tell which file systems there are.", details=details)
    remote = _matching(mounts, network=True)
    if locked := _matching(mounts, read_only=True):
        hint = "Mount them for writing; after a disk error the kernel mounts read-only by itself: look into `dmesg`."
        return Finding("failure", f"Mounted read-only: {', '.join(locked)}.", hint, details)
    if harmful := [name for name in remote if name != "inbox"]:
        hint = "Move the base directory to a local disk; only inbox/ may be a link or mount to a share."
        places_text = ", ".join(f"{name} ({details[name]})" for name in harmful)
        return Finding(
            "failure", f"On a network share, where SQLite and locks are not safe: {places_text}.", hint, details
        )
    if remote:
        message = f"inbox/ is a network share ({details['inbox']}): files are found by scanning, without events"
        return Finding("ok", message, details=details)
    return Finding(
        "ok",
        f"everything lies on local disks ({', '.join(sorted({str(kind) for kind in details.values()}))})",
        details=details,
    )


def _matching(mounts: dict[str, Mount | None], *, network: bool = False, read_only: bool = False) -> list[str]:
    return [
        name
        for name, mount in mounts.items()
        if mount and ((network and mount.is_network) or (read_only and mount.read_only))
    ]
