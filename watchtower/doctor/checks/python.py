"""The interpreter is the one that the realm is made for."""

from __future__ import annotations

import platform
import sys

from watchtower.doctor.checkup import Finding, Patient

NEEDED = (3, 11)


def check(patient: Patient) -> Finding:
    version = platform.python_version()
    details = {"version": version, "executable": sys.executable}
    if sys.version_info[:2] != NEEDED:
        needed = ".".join(map(str, NEEDED))
        hint = f"Make .venv anew with python{needed} (`make play` does)."
        return Finding("failure", f"This is Python {version}; the realm needs {needed}.", hint, details)
    return Finding("ok", f"Python {version}", details=details)
