"""Loads aiohttp for a process that serves and calls nobody with it.

Its client makes TLS contexts when it is imported, and reads every certificate of the system for them: a tenth of a
second before the first page. A site has no use for it. Whoever should call somebody with that client in such a process
gives a context of his own: without one, it believes nobody.
"""

from __future__ import annotations

import ssl


def load_aiohttp() -> None:
    """To be called before anything else imports it; does nothing where it is loaded already."""
    kept = ssl.SSLContext.set_default_verify_paths
    try:
        ssl.SSLContext.set_default_verify_paths = _read_nothing  # type: ignore[method-assign]
        import aiohttp.web  # noqa: F401
    finally:
        ssl.SSLContext.set_default_verify_paths = kept  # type: ignore[method-assign]


def _read_nothing(self: ssl.SSLContext) -> None:
    return None
