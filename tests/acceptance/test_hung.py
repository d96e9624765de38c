"""A trainer that is stopped goes on and loses nothing; one that hangs in the middle of a step is ended and named."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from tests.acceptance.conftest import Founder
from tests.waiting import wait_until

ROWS = 3000

HANG_WHEN_TOLD = """
import signal, threading
never = threading.Event()
def hang(number, frame):
    never.wait()
signal.signal(signal.SIGUSR2, hang)
"""
"""Read by every Python that starts. From then on SIGUSR2 makes its main thread hang wherever it is."""


def test_stopped_is_told_and_waited_out_and_hung_is_told_and_ended(found_realm: Founder, tmp_path: Path) -> None:
    """B17, B21: SIGSTOP of trainer and daemon costs nothing; a hung step costs a strike and a restart, named.

    The daemon stands still for 6 s here, longer than a silence may last; for 60 s each of them does in `make soak`.
    """
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HANG_WHEN_TOLD)
    # No second trainer is waited for, which would cost as much as all the rest: tests/acceptance/test_kill.py has it.
    realm = found_realm(trainer={"device": "cpu", "threads": 1, "restart_backoff_seconds": 60, "hung_seconds": 5})
    realm.up(PYTHONPATH=str(site))
    realm.drop("long", ROWS)
    realm.wait_in_quest(1)

    with realm.trainer_held():
        (held,) = realm.wait(lambda: realm.events("trainer_held"), "the stop told")
        assert "`kill -CONT" in held["message"]
        realm.wait(lambda: "kill -CONT" in (realm.status()["reason"] or ""), "the reason shown")
        assert realm.http("GET", "/health").status_code == 200
        os.kill(realm.pid, signal.SIGSTOP)
        try:
            resumed_at = time.monotonic() + 6
            wait_until(lambda: time.monotonic() > resumed_at)
        finally:
            os.kill(realm.pid, signal.SIGCONT)
    realm.wait(lambda: realm.event_since_up("trainer_goes_on"), "the trainer that goes on")
    assert realm.events("trainer_died") == []

    trainer = realm.trainer()
    assert trainer is not None
    here = realm.position()
    assert here is not None
    realm.wait_in_quest(1, at_least=here.quest_step + 5)
    trainer.send_signal(signal.SIGUSR2)
    # Twenty times the longest silence that a busy machine has made it keep.
    wait_until(lambda: realm.event_since_up("trainer_died"), 240, "the end of the hung trainer", every=0.5)
    (died,) = realm.events("trainer_died")
    assert died["message"].startswith("hung: no sign of life for ")
    assert " s in a step (after step " in died["message"]
    # Where it hangs, and the line of ours that led there.
    assert re.search(r", at threading\.py:\d+ \(wait\) in \w+\.py:\d+ \([\w<>]+\)$", died["message"])
    realm.wait(lambda: realm.event_since_up("quest_strike"), "the strike")
    quest = realm.quest("long")
    assert quest is not None
    assert (quest.lane, quest.record.outcome) == ("processing", None)
    assert [strike.cause for strike in quest.record.strikes] == [died["message"]]
    realm.wait(lambda: realm.status()["status"] == "crashed", "the status")
    assert realm.status()["reason"] == died["message"]
    assert realm.stop() == 0
