"""Who is logged in with a browser: random ids in memory, each with an end, and a bounded number of them."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

LIFETIME_SECONDS = 7 * 86_400.0
MOST_SESSIONS = 64


class Session:
    """One browser that has shown the token."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self._transports: set[asyncio.Transport | None] = set()

    @contextmanager
    def serving(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """A request of this session is answered over `transport`; an event stream may take as long as the session."""
        self._transports.add(transport)
        try:
            yield
        finally:
            self._transports.discard(transport)

    def close(self, keep: asyncio.Transport | None) -> None:
        """Cut off whatever is still answered, but for `keep`."""
        for transport in self._transports - {keep}:
            if transport is not None:
                transport.abort()


class Sessions:
    """All sessions of one realm; a restart ends them. Methods take the present in monotonic seconds."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, Session] = {}
        """By the hash of the id, so that the time of a look-up tells nothing about an id."""

    def begin(self, now: float) -> str:
        """The id of a new session; the oldest one ends when there are too many."""
        self._drop_ended(now)
        while len(self._sessions) >= MOST_SESSIONS:
            self._end(next(iter(self._sessions)))
        session_id = secrets.token_urlsafe(32)
        self._sessions[_key(session_id)] = Session(now + LIFETIME_SECONDS)
        return session_id

    def find(self, session_id: str, now: float) -> Session | None:
        self._drop_ended(now)
        return self._sessions.get(_key(session_id))

    def end(self, session_id: str, keep: asyncio.Transport | None = None) -> None:
        """Log out: open streams of the session are cut, only `keep` lives on. Harmless for an unknown id."""
        self._end(_key(session_id), keep)

    def __len__(self) -> int:
        return len(self._sessions)

    def _drop_ended(self, now: float) -> None:
        for key in [key for key, session in self._sessions.items() if session.ends_at <= now]:
            self._end(key)

    def _end(self, key: bytes, keep: asyncio.Transport | None = None) -> None:
        if session := self._sessions.pop(key, None):
            session.close(keep)


def _key(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogateescape")).digest()
