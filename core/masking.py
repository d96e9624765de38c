"""Hiding secrets in what people and pages are shown: addresses such as `discord://id/token` are passwords."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,31}):(?:\\?/){2}\S*[^\s'\"\],}]")
"""To the next space, as a password may hold anything else; only what closes a text or a list at its end is left."""
HIDDEN = "…"


def masked(address: str) -> str:
    """What may be shown of an address: the service, nothing that lets somebody use it."""
    scheme, between, _ = address.partition("://")
    return f"{scheme}://{HIDDEN}" if between and scheme.isascii() else HIDDEN


def without_addresses(text: str) -> str:
    """The text with every address in it masked."""
    return ADDRESS.sub(rf"\1://{HIDDEN}", text)
