"""The kernel allows enough watches for the inbox; without them files are still found, a little later."""

from __future__ import annotations

from pathlib import Path

from watchtower.doctor.checkup import Finding, Patient

LIMITS = Path("/proc/sys/fs/inotify")
FEW_WATCHES = 1024
FEW_INSTANCES = 16


def check(patient: Patient, limits: Path = LIMITS) -> Finding:
    try:
        watches = int((limits / "max_user_watches").read_text())
        instances = int((limits / "max_user_instances").read_text())
    except (OSError, ValueError):
        return Finding("ok", "this system has no inotify; the inbox is found by scanning")
    details = {"max_user_watches": watches, "max_user_instances": instances}
    if watches < FEW_WATCHES or instances < FEW_INSTANCES:
        hint = "`sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=128`; scanning works without."
        return Finding("warning", f"Few file watches: {watches}, in {instances} programs at once.", hint, details)
    return Finding("ok", f"{watches} file watches are allowed", details=details)
