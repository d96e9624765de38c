"""Wrong tokens are slowed down by address, in bounded memory."""

from __future__ import annotations

import pytest

from core.http.attempts import FORGET_SECONDS, FREE_FAILURES, LONGEST_WAIT, MOST_CALLERS, Attempts, caller_address


def waits(attempts: Attempts, failures: int) -> list[float]:
    """Seconds to wait after each failure, made as soon as it was allowed."""
    now, found = 100.0, []
    for _ in range(failures):
        attempts.failed("x", now)
        found.append(attempts.wait("x", now))
        now += found[-1]
    return found


def test_a_few_mistakes_are_free_and_then_the_wait_doubles() -> None:
    assert waits(Attempts(), 12) == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT]
    assert waits(Attempts(), 200)[-1] == LONGEST_WAIT


def test_the_wait_passes_and_others_do_not_wait() -> None:
    attempts = Attempts()
    for _ in range(FREE_FAILURES + 2):
        attempts.failed("x", 10.0)
    assert attempts.wait("x", 11.0) == 3.0
    assert attempts.wait("x", 14.0) == 0.0
    assert attempts.wait("y", 10.0) == 0.0


def test_success_and_time_forgive() -> None:
    attempts = Attempts()
    waits(attempts, 9)
    attempts.succeeded("x")
    assert waits(attempts, 1) == [0]
    waits(attempts, 9)
    attempts.failed("x", 1e6 + FORGET_SECONDS)
    assert attempts.wait("x", 1e6 + FORGET_SECONDS) == 0.0


def test_a_crowd_of_addresses_does_not_fill_the_memory() -> None:
    """Law 9: the one that has been quiet for the longest is forgotten first."""
    attempts = Attempts()
    for _ in range(FREE_FAILURES):
        attempts.failed("busy", 0.0)
    for number in range(3 * MOST_CALLERS):
        attempts.failed(f"caller {number}", 1.0)
        if number % 100 == 0:
            attempts.failed("busy", 1.0)
    assert len(attempts) == MOST_CALLERS
    assert attempts.wait("busy", 1.0) == LONGEST_WAIT


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.168.1.7", 5000), "192.168.1.7"),
        (("2001:db8:1:2:3:4:5:6", 5000, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::1", 5000, 0, 0), "2001:db8:1:2::/64"),
        (("::ffff:192.168.1.7", 5000, 0, 0), "192.168.1.7"),
        (("fe80::1%eth0", 5000, 0, 2), "fe80::/64"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_a_caller_is_known_by_what_it_cannot_change_at_will(peername: object, address: str) -> None:
    assert caller_address(peername) == address
