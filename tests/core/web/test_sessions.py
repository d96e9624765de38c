"""Logins live in memory: random, bounded in number and time, and cut off when they end."""

from __future__ import annotations

import asyncio

from core.http.sessions import LIFETIME_SECONDS, MOST_SESSIONS, Sessions


class Line(asyncio.Transport):
    """Stands for a connection; only whether it was cut is of interest."""

    cut = False

    def abort(self) -> None:
        self.cut = True


def test_a_session_is_found_by_its_id_until_it_ends() -> None:
    sessions = Sessions()
    first, second = sessions.begin(0.0), sessions.begin(0.0)
    assert first != second
    assert len(first) == 43
    assert sessions.find(first, 1.0) is not sessions.find(second, 1.0)
    sessions.end(first)
    sessions.end(first)
    assert sessions.find(first, 1.0) is None
    assert sessions.find(second, LIFETIME_SECONDS - 1) is not None
    assert sessions.find(second, LIFETIME_SECONDS) is None
    assert len(sessions) == 0


def test_what_was_never_given_out_opens_nothing() -> None:
    sessions = Sessions()
    sessions.begin(0.0)
    for guess in ("", "x", "\udcff", "x" * 100_000):
        assert sessions.find(guess, 0.0) is None


def test_too_many_logins_end_the_oldest() -> None:
    """Law 9."""
    sessions = Sessions()
    ids = [sessions.begin(float(number)) for number in range(MOST_SESSIONS + 3)]
    assert len(sessions) == MOST_SESSIONS
    assert [sessions.find(session, 100.0) is None for session in ids[:5]] == [True, True, True, False, False]


def test_the_end_of_a_session_cuts_its_open_streams_but_for_the_one_that_asks() -> None:
    sessions = Sessions()
    session_id = sessions.begin(0.0)
    session = sessions.find(session_id, 0.0)
    assert session is not None
    done, stream, asking = Line(), Line(), Line()
    with session.serving(done):
        pass
    with session.serving(stream), session.serving(asking), session.serving(None):
        sessions.end(session_id, keep=asking)
    assert [line.cut for line in (done, stream, asking)] == [False, True, False]
