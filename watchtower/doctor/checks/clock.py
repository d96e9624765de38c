"""The clock does not run behind what the realm has already written: names of checkpoints and quests carry times."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.checkpoint_ledger import CheckpointLedger
from watchtower.doctor.checkup import Finding, Patient

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""The realm is younger than no clock that is right."""
TOLERANCE = timedelta(seconds=60)
HINT = "Set the clock right (`timedatectl set-ntp true`); batteries of old boards start in the past."


def check(patient: Patient) -> Finding:
    now = patient.now
    details = {"now": now.isoformat(timespec="seconds")}
    if now < EARLIEST:
        return Finding("failure", f"The clock says {now:%Y-%m-%d}, which cannot be.", HINT, details)
    latest = CheckpointLedger.of(patient.paths).get_latest()
    written = datetime.fromisoformat(latest.timestamp) if latest else None
    if written is not None and written.astimezone(UTC) - now > TOLERANCE:
        ahead = f"{written.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return Finding(
            "failure", f"The clock is behind the latest checkpoint, which was written at {ahead}.", HINT, details
        )
    skew = _skew(patient.paths.status, now)
    if skew is not None and abs(skew) > TOLERANCE:
        message = f"The disk's clock and this machine's differ by {abs(skew.total_seconds()):.0f} s."
        return Finding("warning", message, "The base directory should lie on a local disk.", details)
    return Finding("ok", f"{now:%Y-%m-%d %H:%M} UTC", details=details)


def _skew(folder: Path, now: datetime) -> timedelta | None:
    """How far the times that the file system stamps are ahead of ours; None where nothing can be written, which is
    for other checks to tell."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as probe:
            stamped = Path(probe.name).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(stamped, UTC) - now
