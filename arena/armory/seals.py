"""Secrets that are never shown: a page gets what stands for each, and sends that back for those that stay."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from typing import Any

from core.errors import InvalidInput
from core.masking import HIDDEN, masked


class Seals:
    """Makes a name for each secret that says nothing about it, and is another one in each life of the realm."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def shown(self, values: Any) -> Any:
        """What a page may see of the value of a secret setting."""
        if not isinstance(values, Iterable) or isinstance(values, str):
            return HIDDEN
        return [{"keep": self._seal(str(value)), "shown": masked(str(value))} for value in values]

    def opened(self, name: str, values: Any, present: Any) -> Any:
        """The value that a page has sent: `{"keep": …}` is what it was, anything else is new."""
        if not isinstance(values, list):
            return values
        known = {self._seal(str(value)): value for value in (present if isinstance(present, list | tuple) else ())}
        return [self._open(name, value, known) if isinstance(value, dict) else value for value in values]

    def _open(self, name: str, value: dict[str, Any], known: dict[str, Any]) -> Any:
        if value.get("keep") not in known:
            raise InvalidInput(f"{name}: what was to be kept is not there any more.", hint="Load the settings anew.")
        return known[value["keep"]]

    def _seal(self, value: str) -> str:
        return hmac.new(self._key, value.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:16]
