"""The saga's database can be read and is not damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from core.db_files import tells_damage
from watchtower.doctor.checkup import Finding, Patient

CORRUPT = "*.corrupt.*"


def check(patient: Patient) -> Finding:
    paths = patient.paths
    aside = sorted(str(file) for file in paths.status.glob(CORRUPT))
    if not paths.saga_db.exists():
        return Finding("ok", "there is no database yet")
    # As a URI spelled by pathlib: `#`, `?` and `%` in a path mean something else in one.
    uri = f"{paths.saga_db.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if not tells_damage(error):
            hint = "Look as the user that runs the realm, who has the right to; `dmesg` tells of a failing disk."
            return Finding("failure", f"{paths.saga_db} cannot be looked at: {error}.", hint)
        answer = str(error)
    if answer != "ok":
        hint = "Stop the realm; at the next start it sets the file aside and goes on with what can be rebuilt."
        return Finding("failure", f"{paths.saga_db} is damaged: {answer}", hint)
    if aside:
        hint = "It was replaced; remove the old file once nothing in it is missed."
        return Finding("warning", f"A damaged database was set aside: {aside[-1]}.", hint, {"files": aside})
    return Finding("ok", f"{paths.saga_db.name} is whole")
