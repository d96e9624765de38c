"""The version of the realm that is installed."""

from __future__ import annotations

from functools import cache


@cache
def realm_version() -> str:
    """Such as `0.1.0`."""
    # Loaded on use: `realm --help` has no time for it.
    from importlib.metadata import version

    return version("realm-of-training")
