"""One control process on one base directory, and the ways to end it."""

from __future__ import annotations

import signal
import socket
from contextlib import closing

import pytest

from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm


def quiet_realm(found_realm: Founder, name: str = "realm", **settings: object) -> LivingRealm:
    """A realm whose training is stopped: it is up in a second, as no trainer loads torch."""
    realm = found_realm(name, **settings)
    realm.wish("stop")
    return realm


def test_a_second_realm_on_the_same_directory_is_refused_and_names_the_holder(found_realm: Founder) -> None:
    """B1, B2: two daemons on one directory are impossible; the lock and not a pid file decides."""
    realm = quiet_realm(found_realm)
    realm.up(awake=False)
    refused = realm.cli("up")
    assert refused.returncode == 1
    assert str(realm.pid) in refused.stderr
    assert str(realm.paths.base) in refused.stderr
    assert "Traceback" not in refused.stderr

    holder = realm.holder()
    assert holder is not None
    assert holder["pid"] == realm.pid
    assert realm.services()["tavern"]["pid"] == realm.pid

    beside = quiet_realm(found_realm, "beside")
    beside.up(awake=False)
    for each in (realm, beside):
        for site in ("tavern", "vault", "watchtower"):
            assert each.http("GET", "/health", site=site).json()["status"] == "healthy"
    assert {entry["port"] for entry in realm.services().values()}.isdisjoint(
        entry["port"] for entry in beside.services().values()
    )
    assert beside.stop() == 0
    assert realm.http("GET", "/health").status_code == 200
    assert realm.stop() == 0


def test_after_kill_9_of_the_daemon_a_new_one_starts(found_realm: Founder) -> None:
    """B8: what a crash leaves behind never says that the realm is already running."""
    realm = quiet_realm(found_realm)
    realm.up(awake=False)
    realm.kill9_daemon()
    assert realm.paths.lock.exists()
    assert realm.holder() is None
    down = realm.cli_json("status")
    assert (down["realm"], down["pid"], down["services"]) == ("down", None, {})
    realm.up(awake=False)
    assert realm.cli_json("status")["pid"] == realm.pid
    assert realm.stop() == 0


@pytest.mark.parametrize("way", ["realm down", ".stop", "SIGINT", "SIGTERM"])
def test_the_realm_ends_with_exit_0_and_leaves_no_trace_of_being_up(found_realm: Founder, way: str) -> None:
    """B13, B16: every way to end it is obeyed at once, and the status says stopped and not what it was."""
    realm = quiet_realm(found_realm)
    realm.up(awake=False)
    pid = realm.pid
    if way == "realm down":
        answer = realm.cli_json("down")
        assert answer == {"stopped": True, "pid": pid}
    elif way == ".stop":
        realm.paths.stop_file.touch()
    else:
        realm.signal(signal.Signals[way])
    assert realm.wait_for_end() == 0
    assert not realm.paths.services.exists()
    assert not realm.paths.stop_file.exists()
    assert realm.holder() is None
    assert realm.status()["last_status"] == "stopped"
    assert realm.cli_json("down") == {"stopped": False}


def test_a_busy_port_names_its_holder_and_what_to_do(found_realm: Founder) -> None:
    """The realm does not start half: no site listens, and the lock is free again."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with closing(socket.create_server(("127.0.0.1", 0))) as given_back:
            free_port = given_back.getsockname()[1]
        realm = quiet_realm(found_realm, services={"tavern": free_port, "vault": port, "ports": "fixed"})
        refused = realm.cli("up")
    assert refused.returncode == 1
    assert f"Port {port} of the vault" in refused.stderr
    assert "--ports auto" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert realm.holder() is None
    assert not realm.paths.services.exists()
