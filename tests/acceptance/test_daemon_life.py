"""How people start, watch and end a realm: in the background, in a terminal that is closed, with its logs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import psutil
import pytest

from core.instance import InstanceLock
from core.logs import FILES_PER_FAMILY
from core.paths import CHECKOUT
from core.services import read_services
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.pseudo_terminal import PseudoTerminal
from tests.waiting import wait_until

Opener = Callable[[LivingRealm], PseudoTerminal]


def quiet_realm(found_realm: Founder, **settings: object) -> LivingRealm:
    """A realm whose training is stopped: it is up in a second, as no trainer loads torch."""
    realm = found_realm(**settings)
    realm.wish("stop")
    return realm


@pytest.fixture
def terminal() -> Iterator[Opener]:
    """`terminal(realm)` runs `realm up` on a terminal of its own, which is cleared away whatever happens."""
    opened: list[PseudoTerminal] = []

    def start(realm: LivingRealm) -> PseudoTerminal:
        opened.append(PseudoTerminal(realm.command))
        return opened[-1]

    yield start
    for each in opened:
        each.end()


@pytest.fixture
def background(found_realm: Founder) -> Iterator[LivingRealm]:
    """A quiet realm that is ended by its pid if a test leaves it up."""
    realm = quiet_realm(found_realm)
    yield realm
    holder = realm.holder()
    if holder is not None and isinstance(holder["pid"], int):
        process = psutil.Process(holder["pid"])
        process.kill()
        wait_until(lambda: realm.holder() is None)


# --- in the background ---------------------------------------------------------------------------------------------


def test_up_in_the_background_answers_when_it_returns_and_down_ends_it(background: LivingRealm) -> None:
    """B27: no fixed delay. B7: it holds the same lock and shows in the same status as one in a terminal."""
    up = background.cli("up", "-d")
    assert up.returncode == 0, up.stderr
    entries = read_services(background.paths)
    pid = entries["tavern"]["pid"]
    assert httpx.get(f"{entries['tavern']['url']}/", trust_env=False).status_code == 200
    assert f"(pid {pid})" in up.stdout
    assert all(entry["url"] in up.stdout for entry in entries.values())
    assert f"realm down --base-dir {background.paths.base}" in up.stdout
    assert os.getsid(pid) == pid
    assert background.cli_json("status")["pid"] == pid

    again = background.cli("up", "-d")
    assert again.returncode == 1
    assert f"in use by process {pid}" in again.stderr

    down = background.cli("down")
    assert down.returncode == 0
    assert f"(pid {pid}) has ended" in down.stdout
    assert f"Waiting for the realm (pid {pid})" in down.stderr
    assert background.holder() is None
    # What happens in it is in the saga and in logs/realm.jsonl, which have budgets; its output is nearly nothing.
    assert len((background.paths.logs / "up.log").read_text().splitlines()) < 5


def test_what_kept_it_from_coming_up_is_told_in_a_sentence(background: LivingRealm) -> None:
    """B26: a port that somebody else has. All that are taken are named at once."""
    with closing(socket.create_server(("127.0.0.1", 0))) as one, closing(socket.create_server(("127.0.0.1", 0))) as two:
        tavern, vault = one.getsockname()[1], two.getsockname()[1]
        refused = subprocess.run(
            [*background.command[:-1], "--json", "up", "-d", "--ports", "fixed"],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=60,
            env=os.environ | {"REALM_SERVICES__TAVERN": str(tavern), "REALM_SERVICES__VAULT": str(vault)},
        )  # fmt: skip
    assert refused.returncode == 1
    told = json.loads(refused.stdout)["message"]
    assert "did not come up: it ended with exit code 1" in told
    for port, name in ((tavern, "tavern"), (vault, "vault")):
        assert f"Port {port} of the {name} is taken by pid {os.getpid()}" in told
    assert "--ports auto" in told
    assert "Traceback" not in told
    assert background.holder() is None
    assert not background.paths.services.exists()


def test_nothing_is_started_with_wrong_settings_and_everything_wrong_is_told(found_realm: Founder) -> None:
    """B25, B29: all problems at once, and the exit code says so."""
    realm = found_realm(hero="sprit", save_stepps=5, profile={"name": "chatmll"})
    refused = realm.cli("up")
    assert refused.returncode == 1
    for problem in ("Did you mean sprite?", "Did you mean save_steps?", "Did you mean chatml?"):
        assert problem in refused.stderr
    assert "Traceback" not in refused.stderr
    assert realm.holder() is None
    assert not realm.paths.services.exists()
    assert not realm.paths.saga_db.exists()


# --- ending it -------------------------------------------------------------------------------------------------------


def test_down_never_signals_a_pid_that_it_cannot_be_sure_of(found_realm: Founder) -> None:
    """B2, B6: a pid from another container or a reused one belongs to a stranger; it finds the .stop file instead."""
    realm = found_realm()
    lock = InstanceLock(realm.paths.lock)
    lock.acquire({"version": "0.1.0", "base_dir": str(realm.paths.base)})
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as stranger:
        told = {**json.loads(realm.paths.lock.read_text()), "pid": stranger.pid}
        realm.paths.lock.write_text(json.dumps(told))
        down = realm.cli("down", "--timeout", "0.5")
        assert stranger.poll() is None
    assert down.returncode == 1
    assert "goes on saving after 0.5 s" in down.stderr
    assert realm.paths.stop_file.exists()
    lock.release()


def test_closing_the_terminal_ends_the_realm_in_order(found_realm: Founder, terminal: Opener) -> None:
    """B13: SIGHUP is as good as SIGTERM, and a terminal that is gone breaks nothing."""
    realm = quiet_realm(found_realm)
    window = terminal(realm)
    window.wait_for("The realm is up.")
    window.close()
    assert window.process.wait(30) == 0
    assert realm.holder() is None
    assert not realm.paths.services.exists()
    assert realm.events("realm_down")[-1]["message"] == "The realm ends: the terminal was closed"
    assert realm.status()["last_status"] == "stopped"


def test_nohup_keeps_the_realm_when_the_terminal_is_closed(found_realm: Founder, terminal: Opener) -> None:
    realm = quiet_realm(found_realm)
    # nohup writes what the terminal no longer takes into the directory that it is called in.
    realm.command = ["env", f"--chdir={realm.paths.base}", "nohup", *realm.command]
    window = terminal(realm)
    wait_until(lambda: read_services(realm.paths), 30)
    os.kill(window.process.pid, signal.SIGHUP)
    url = read_services(realm.paths)["vault"]["url"]
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
    assert realm.cli("down").returncode == 0
    assert window.process.wait(30) == 0
    assert realm.events("realm_down")[-1]["message"] == "The realm ends: signal SIGTERM"


def test_a_second_ctrl_c_is_explained_and_the_sites_serve_until_the_trainer_has_saved(
    found_realm: Founder, terminal: Opener
) -> None:
    """B22: services were killed while training; here the trainer is first and they see it off."""
    realm = found_realm()
    window = terminal(realm)
    realm.wait(lambda: realm.events("trainer_ready"), "a trainer that is ready")
    realm.drop("long", 3000)
    realm.wait_in_quest(1)
    control = psutil.Process(window.process.pid)
    (trainer,) = [child for child in control.children() if "arena.trainer" in child.cmdline()]
    trainer.suspend()  # a step, or a save, that takes its time
    try:
        window.type("\x03")
        window.wait_for("Ending: the trainer finishes its step and saves.")
        window.type("\x03")
        window.wait_for(f"kill -9 {window.process.pid}")
        assert realm.http("GET", "/", site="tavern").status_code == 200
        realm.wait(lambda: realm.http("GET", "/api/training/status").json()["status"] == "stopping", "the end told")
        window.close()
    finally:
        trainer.resume()
    assert window.process.wait(60) == 0
    here = realm.position()
    assert here is not None
    assert realm.weights()[0] == here.quest_step >= 10
    assert realm.events("realm_down")[-1]["message"] == "The realm ends: Ctrl-C"
    assert realm.holder() is None


# --- logs ----------------------------------------------------------------------------------------------------------

WRITE_LOG = """
import logging, sys
from pathlib import Path
from core.logs import configure_logging
configure_logging(Path(sys.argv[1]), "realm", max_bytes_total=32_000)
log = logging.getLogger("arena.daemon")
log.warning("the disk \\x1b[31m is low")
for line in sys.stdin:
    log.info("round %s", line.strip())
"""


def test_logs_are_readable_filtered_and_followed_across_rotation(found_realm: Founder) -> None:
    """B24: one log for months; it turns over by size and can still be followed."""
    realm = found_realm()
    log = realm.paths.logs / "realm.jsonl"
    assert "There is no log" in realm.cli("logs").stderr
    write = [sys.executable, "-c", WRITE_LOG, str(realm.paths.logs)]
    follow = [*realm.command[:-1], "logs", "--follow", "--json"]
    with subprocess.Popen(write, cwd=CHECKOUT, stdin=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        wait_until(lambda: log.exists() and log.stat().st_size, 30)
        with subprocess.Popen(follow, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["level"] == "warning"
            for number in range(120):
                writer.stdin.write(f"{number}\n")
            writer.stdin.flush()
            heard = [json.loads(follower.stdout.readline())["message"] for _ in range(120)]
            assert heard == [f"round {number}" for number in range(120)]
            follower.send_signal(signal.SIGINT)
            assert follower.wait(10) == 130
    assert 1 < len(list(realm.paths.logs.glob("realm.jsonl*"))) <= FILES_PER_FAMILY
    (last,) = realm.cli("logs", "--lines", "1").stdout.splitlines()
    assert last.endswith("info     round 119")
    (warning,) = realm.cli("logs", "--level", "warning").stdout.splitlines()
    assert warning.endswith("warning  the disk \\x1b[31m is low")
    assert "Did you mean realm?" in realm.cli("logs", "--name", "relam").stderr


def test_every_log_of_a_realm_is_turned_over(background: LivingRealm) -> None:
    """B24: logs/ holds rotated families, and plain output that housekeeping keeps within the same budget."""
    from arena.supervision.trainer_process import TrainerProcess

    output = background.paths.logs / "trainer-output.log"
    assert TrainerProcess(background.paths)._output == output
    output.write_bytes(b"what a library prints\n" * 60_000)
    config = background.paths.config_file
    config.write_text(config.read_text() + "budgets: {log_megabytes: 1}\n")
    assert background.cli("up", "-d").returncode == 0
    wait_until(lambda: not output.stat().st_size, 30)
    (line, *_) = background.cli("logs", "--name", "trainer-output", "--lines", "1").stdout.splitlines()
    assert line == "what a library prints"
    names = {path.name.partition(".")[0] for path in background.paths.logs.iterdir()}
    assert names <= {"realm", "trainer", "trainer-output", "up"}
    assert background.cli("down").returncode == 0
