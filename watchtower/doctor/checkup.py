"""One visit of the doctor: every check runs whatever the others find, and each says what to do (failure B25)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from core.errors import RealmError
from core.paths import RealmPaths
from core.settings import Settings
from core.settings_reading import load_settings

logger = logging.getLogger(__name__)

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """What one check says. `hint` tells what to do next; a `failure` keeps the realm from working as it should."""

    verdict: Verdict
    message: str
    hint: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Patient:
    """The realm that is looked at."""

    paths: RealmPaths
    settings: Settings
    """The settings in force; the defaults where they are invalid, which the check `settings` tells."""
    settings_error: RealmError | None
    running_pid: int | None
    """Process that holds the base directory; None when the realm is down."""
    now: datetime

    @classmethod
    def at(cls, paths: RealmPaths, *, running_pid: int | None, now: datetime) -> Patient:
        try:
            return cls(paths, load_settings(paths.config_file), None, running_pid, now)
        except RealmError as error:
            return cls(paths, Settings(), error, running_pid, now)


Check = Callable[[Patient], Finding]


def examine(patient: Patient, checks: Iterable[tuple[str, Check]]) -> dict[str, Finding]:
    """The finding of every check, by its name, in order."""
    return {name: _run(name, check, patient) for name, check in checks}


def _run(name: str, check: Check, patient: Patient) -> Finding:
    try:
        return check(patient)
    except RealmError as error:
        return Finding("failure", error.message, error.hint, error.details)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return Finding("failure", f"The check came to no end: {place}{error.strerror or error}.")
    except Exception as error:  # a check that breaks must not hide what the other checks find
        logger.exception("the check %s failed", name, extra={"event": "doctor_check_failed"})
        return Finding("failure", f"The check itself failed: {error!r}", "Please report this as a bug.")
