"""When the realm is up, its trainer lives and says so."""

from __future__ import annotations

from core.status_files import read_status
from watchtower.doctor.checkup import Finding, Patient

REASONED_STATES = ("starting", "paused", "stopping", "stopped")
"""States that come with a reason. A trainer that is said to work or to wait has none but what holds it from outside."""


def check(patient: Patient) -> Finding:
    if patient.running_pid is None:
        return Finding("ok", "the realm is down")
    status = read_status(patient.paths.training_status, now=patient.now)
    state, reason = status.get("status"), status.get("reason")
    details = {"status": state, "reason": reason, "pid": patient.running_pid}
    if state in ("unknown", "crashed"):
        hint = "`realm logs --name trainer` shows its last words."
        return Finding("failure", f"The trainer is {state}: {reason or 'nobody knows why'}.", hint, details)
    text = f"the realm is up (pid {patient.running_pid}), its trainer is {state}" + (f": {reason}" if reason else "")
    if reason and state not in REASONED_STATES:
        return Finding("warning", text, "It goes on by itself once that is mended.", details)
    return Finding("ok", text, details=details)
