"""The system's Chromium: where it lies, and how tests, benchmarks and the makers of pictures start it."""

from __future__ import annotations

import shutil

ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)


def find_chromium() -> str:
    """Its path; raises `RuntimeError` that says how to get it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("This drives the system's Chromium, which is not installed: apt-get install chromium")
    return path
