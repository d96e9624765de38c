"""A host is given up after it was asked in vain for long enough, and not because something else took its time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import Conflict, Unavailable, Unreached
from vault.transfer import patience as module
from vault.transfer.patience import AWAY_SECONDS, NOTICE_SECONDS, WORKING_SECONDS, Patience
from vault.transfer.pull import PullOptions, pull_asset
from vault.transfer.source import Busy, LinkCut

CERTIFICATE = Path(__file__).with_name("nobodys.pem")
"""Of 127.0.0.1, and signed by nobody."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Runs on, and jumps by what is added to `ahead`."""
    clock = SimpleNamespace(ahead=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.ahead
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_the_first_cut_after_a_long_silence_of_ours_is_asked_again(clock: SimpleNamespace) -> None:
    """A shard of 60 GB is read back for minutes; then the idle connection is found closed."""
    patience = Patience("http://nas:8768", retry_seconds=300)
    for _ in range(2):
        patience.progress()
        clock.ahead += 400
        patience.wait_after(LinkCut("it closed the connection"))
    clock.ahead += 400
    with pytest.raises(Unavailable, match="cannot be reached"):
        patience.wait_after(LinkCut("no route to host"))


def test_a_host_that_reads_what_it_was_asked_for_is_waited_for_but_not_for_ever(clock: SimpleNamespace) -> None:
    patience = Patience("http://nas:8768", retry_seconds=300)
    for _ in range(3):
        clock.ahead += 400
        patience.wait_after(Busy("its manifest is being made", 0.0, is_working=True))
    assert patience.cuts == 0
    clock.ahead += WORKING_SECONDS
    with pytest.raises(Unavailable):
        patience.wait_after(Busy("its manifest is being made", 0.0, is_working=True))


def test_a_host_that_has_not_answered_once_is_away_within_seconds(clock: SimpleNamespace) -> None:
    """Five minutes of silence, for a NAS that was switched off."""
    patience = Patience("http://nas:8768", retry_seconds=300)
    patience.wait_after(LinkCut("connection refused"))
    clock.ahead += AWAY_SECONDS
    with pytest.raises(Unreached, match=r"http://nas:8768 cannot be reached: connection refused\. Is it up\?"):
        patience.wait_after(LinkCut("connection refused"))


def test_whoever_waits_is_told_once_what_for_and_that_it_is_over(clock: SimpleNamespace) -> None:
    told: list[str] = []
    patience = Patience("http://nas:8768", retry_seconds=300, on_waiting=told.append)
    patience.progress()
    clock.ahead += 400
    patience.look()
    patience.wait_after(LinkCut("it closed the connection"))
    assert told == []  # files were read back all the while, and nothing was asked for
    clock.ahead += NOTICE_SECONDS
    patience.wait_after(LinkCut("no route to host"))
    patience.look()
    assert len(told) == 1
    assert "(no route to host). It is asked again for 297 s; what has come is kept." in told[0]
    clock.ahead += 1
    patience.progress()
    patience.look()
    assert told[1:] == ["http://nas:8768 answers again."]
    # No failure yet, but a connection on which an answer should come.
    waiting_since = clock.monotonic()
    clock.ahead += NOTICE_SECONDS
    patience.look(waiting_since)
    assert "(it says nothing)" in told[2]
    patience.wait_after(Busy("its manifest is being made", 0.0, is_working=True))
    patience.wait_after(Busy("its manifest is being made", 0.0, is_working=True))
    assert [each for each in told if "is waited for" in each] == [
        "http://nas:8768 is waited for: its manifest is being made"
    ]


def test_a_certificate_that_is_not_believed_is_told_at_once(tmp_path: Path) -> None:
    """It was asked for five minutes, and then called unreachable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            caller, _ = server.accept()
            with caller, suppress(OSError), context.wrap_socket(caller, server_side=True):
                pass

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Conflict, match="certificate that is not believed: self-signed"):
            pull_asset(url, "x", tmp_path, options=PullOptions(retry_seconds=300))
        thread.join(20)
