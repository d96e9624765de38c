"""This user may write wherever the realm writes, and strangers may not read the token."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from watchtower.doctor.checkup import Finding, Patient, Verdict


def check(patient: Patient) -> Finding:
    paths = patient.paths
    if not paths.base.is_dir():
        return Finding("failure", f"{paths.base} is no directory.", "Make it with `realm init`.")
    folders = [paths.base, paths.inbox, paths.queue, paths.control, paths.status, paths.current_model, paths.models]
    folders += [paths.logs, paths.configs, *(paths.lane(name) for name in ("processing", "failed"))]
    closed = [str(folder) for folder in folders if folder.exists() and not _may_write(folder)]
    if closed:
        hint = f"Give them to the user that runs the realm: `chown -R {_user()} {paths.base}`."
        return Finding("failure", f"Not writable: {', '.join(closed)}.", hint, {"not_writable": closed})
    if paths.token_file.exists() and stat.S_IMODE(paths.token_file.stat().st_mode) & 0o077:
        # Beyond loopback the realm does not start with it (`core.http.tokens`).
        verdict: Verdict = "warning" if patient.settings.services.is_local else "failure"
        hint = f"`chmod 600 {paths.token_file}`; who may have read it: delete it, and a new token is made."
        return Finding(verdict, f"Others may read the token in {paths.token_file}.", hint)
    open_base = stat.S_IMODE(paths.base.stat().st_mode) & stat.S_IWOTH
    if open_base:
        hint = f"`chmod o-w {paths.base}`"
        return Finding("warning", f"Every user of this machine may write to {paths.base}.", hint)
    return Finding("ok", f"{paths.base} and what lies in it can be written")


def _may_write(folder: Path) -> bool:
    # Of the effective user: that is who the realm's own writes are judged by.
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def _user() -> str:
    return f"{os.geteuid()}:{os.getegid()}"
