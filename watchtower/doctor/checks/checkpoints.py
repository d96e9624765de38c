"""The present checkpoint is whole, and nothing was set aside unnoticed."""

from __future__ import annotations

from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest
from watchtower.doctor.checkup import Finding, Patient


def check(patient: Patient) -> Finding:
    root = patient.paths.current_model
    if not root.is_dir():
        return Finding("ok", "there is no checkpoint yet")
    store = CheckpointStore(root)
    aside = sorted(path.name for path in root.glob(".quarantine-*"))
    head = store.head()
    present = store.resolve(head) if head else None
    if head and present is None:
        hint = (
            "Put it back, from a backup or from what was set aside; without it the realm resumes from its newest whole "
            "ancestor, or begins at the base model again."
        )
        return Finding("failure", f"HEAD names {head}, which is not there.", hint, {"aside": aside})
    if present is None:
        known = store.list()
        if known:
            hint = "The realm resumes from the newest whole one; `realm ledger list` shows them."
            return Finding("warning", f"HEAD names none of the {len(known)} checkpoints.", hint)
        return Finding("ok", "there is no checkpoint yet")
    faults = check_manifest(present.path, deep=False)
    if faults:
        hint = "The realm sets it aside at the next start and resumes from its newest whole ancestor."
        return Finding("failure", f"{present.name} is torn: {faults[0]}", hint, {"faults": faults})
    if aside:
        hint = "Each holds QUARANTINE.json with its reason; remove them once they are understood."
        return Finding(
            "warning", f"{len(aside)} checkpoints were set aside, such as {aside[-1]}.", hint, {"aside": aside}
        )
    return Finding("ok", f"{present.name} is the present one", details={"step": present.step})
