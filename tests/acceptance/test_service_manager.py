"""A realm under a service manager: started by its unit's own command line, with a socket that hears what it says.

The base directory has a name that a unit must escape. The tests run in their order, on one realm.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import yaml

from arena.supervision.position_file import Phase
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.service_manager import ServiceManager
from tests.systemd_words import words_of

NAME = 'my realm 100%n $HOME "dio"'
WATCHDOG_SECONDS = 1.0
LONG_ROWS = 3000


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path_factory.mktemp("run") / "notify") as manager:
        yield manager


@pytest.fixture(scope="module")
def realm(found_shared_realm: Founder, manager: ServiceManager) -> LivingRealm:
    """A realm that `ExecStart=` has started, as systemd would."""
    realm = found_shared_realm(NAME)
    unit = realm.cli("install-service", "--print")
    assert unit.returncode == 0, unit.stderr
    (start,) = [line for line in unit.stdout.splitlines() if line.startswith("ExecStart=")]
    realm.command = words_of(start.removeprefix("ExecStart="))
    realm.up(**manager.environment(WATCHDOG_SECONDS))
    return realm


def fed(manager: ServiceManager) -> int:
    return len(manager.told("WATCHDOG"))


def test_the_unit_starts_this_realm_and_hears_when_it_is_up(realm: LivingRealm, manager: ServiceManager) -> None:
    """B5: what is to be started exists. B7: `realm status` knows it, however it was started."""
    realm.wait(lambda: manager.told("READY") == ["1"], "READY=1")
    assert manager.messages[0] != {"READY": "1"}, "it was ready before it had started"
    realm.wait(lambda: manager.status == "idle", "the status of an idle realm")
    status = realm.cli_json("status")
    assert (status["realm"], status["pid"], status["base_dir"]) == ("up", realm.pid, str(realm.paths.base))


def test_a_second_start_beside_it_is_refused_and_tells_the_manager_nothing(
    realm: LivingRealm, manager: ServiceManager
) -> None:
    """B3: a guardian that looked at another pid file than the daemon wrote started a second one every minute."""
    beside = realm.cli("up")
    assert beside.returncode == 1
    assert f"in use by process {realm.pid}" in beside.stderr
    detached = realm.cli("up", "-d")
    assert detached.returncode == 1
    assert f"in use by process {realm.pid}" in detached.stderr
    assert manager.told("READY") == ["1"]
    assert manager.told("STOPPING") == []


def test_no_child_can_speak_in_the_name_of_the_realm(realm: LivingRealm) -> None:
    realm.drop("first", 20)
    realm.wait_until_done(1)
    children = psutil.Process(realm.pid).children(recursive=True)
    assert {"arena.trainer", "core.scribe_worker"} <= {word for child in children for word in child.cmdline()}
    for process in children:
        assert not {name for name in process.environ() if name.startswith(("NOTIFY_", "WATCHDOG_"))}


def test_idle_and_paused_realms_are_alive(realm: LivingRealm, manager: ServiceManager) -> None:
    """B4: a watchdog restarted idle and paused daemons, as their status had not changed for so long."""
    realm.wait(lambda: manager.status == "idle", "an idle realm")
    before = fed(manager)
    realm.wait(lambda: fed(manager) >= before + 3, "signs of life of an idle realm")
    realm.wish("pause", "the oven is on")
    realm.drop("patience", LONG_ROWS // 2, start=10_000)
    realm.wait(lambda: manager.status.startswith("paused"), "the status of a paused realm")
    assert "the oven is on" in manager.status
    before = fed(manager)
    realm.wait(lambda: fed(manager) >= before + 3, "signs of life of a paused realm")


def ordinal_of(realm: LivingRealm, name: str) -> int:
    """Number in the journal of the quest with this file name; 0 before its claim."""
    return next((ordinal for ordinal, claim in enumerate(realm.claims(), 1) if claim.name == name), 0)


def test_settings_edited_during_training_hold_from_the_next_claim_on(realm: LivingRealm) -> None:
    """B23: an edit was applied to some parts and not to others. A wrong edit changes nothing and is told."""
    good = realm.paths.config_file.read_text()
    realm.wish("resume")
    # Before the pause or after it, as the two were asked for in the same moment.
    patience = realm.wait(lambda: ordinal_of(realm, "patience.jsonl"), "its claim")
    realm.wait_in_quest(patience)
    edited = yaml.safe_load(good) | {"hyperparams": {"learning_rate": 0.0125, "epochs": 2}}
    realm.paths.config_file.write_text(yaml.safe_dump(edited))
    realm.drop("after", 40, start=20_000)
    realm.wait_until_done(3)
    during, after = realm.claims()[patience - 1 :]
    assert (during.name, during.settings.learning_rate, during.settings.epochs) == ("patience.jsonl", 0.002, 1)
    assert (after.name, after.settings.learning_rate, after.settings.epochs) == ("after.jsonl", 0.0125, 2)

    wrong = edited | {"hyperparams": {"learning_rate": 5, "epochs": 3}, "profile": {"name": "chatmll"}}
    realm.paths.config_file.write_text(yaml.safe_dump(wrong))
    realm.drop("undeterred", 40, start=30_000)
    realm.wait_until_done(4)
    assert (realm.claims()[-1].settings.learning_rate, realm.claims()[-1].settings.epochs) == (0.0125, 2)
    (told,) = realm.events("settings_invalid")
    assert "hyperparams.learning_rate" in told["message"]
    assert "Did you mean chatml?" in told["message"]
    realm.paths.config_file.write_text(good)


def test_a_daemon_that_stands_still_holds_up_no_step(realm: LivingRealm, manager: ServiceManager) -> None:
    """B28: a monitor in the training loop hung it every fifty steps; ours may hang, the trainer goes on."""
    ordinal = realm.history().next_ordinal
    realm.drop("alone", LONG_ROWS, start=40_000)
    realm.wait_in_quest(ordinal)
    daemon = psutil.Process(realm.pid)
    daemon.suspend()
    try:
        here = realm.position()
        assert here is not None
        realm.wait_in_quest(ordinal, at_least=here.quest_step + 100)
    finally:
        daemon.resume()
    realm.wait(lambda: manager.status.startswith("training alone.jsonl "), "the status of a training realm")
    assert manager.status.endswith(" %")


def test_sigterm_in_mid_quest_ends_with_a_checkpoint_of_the_very_step(
    realm: LivingRealm,
    manager: ServiceManager,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """B13: SIGTERM was heard once the queue was empty. B22: the trainer ends first, the sites serve until it has."""
    ordinal = realm.history().next_ordinal - 1
    realm.wait_in_quest(ordinal)
    told_at = datetime.now(UTC)
    psutil.Process(realm.pid).send_signal(signal.SIGTERM)  # as KillMode=mixed: to the main process alone
    assert realm.wait_for_end() == 0
    ended_at = datetime.now(UTC)

    here = realm.position()
    assert here is not None
    assert here.phase is Phase.EXITED
    *before, cut = realm.claims()
    assert 0 < here.quest_step < cut.steps
    assert realm.weights()[0] == sum(claim.steps for claim in before) + here.quest_step
    assert manager.told("STOPPING") == ["1"]
    assert manager.told("EXTEND_TIMEOUT_USEC"), "the manager was not asked for the time that a save takes"
    assert any(status.startswith("stopping") and "SIGTERM" in status for status in manager.told("STATUS"))
    kinds = [event["kind"] for event in realm.events()]
    assert kinds.index("realm_down") < len(kinds) - 1 - kinds[::-1].index("checkpoint_saved")

    # Times depend on what else the machine does: they are told, not asserted.
    saved = realm.events("checkpoint_saved")[-1]
    figures = {
        "seconds from SIGTERM to the checkpoint": (datetime.fromisoformat(saved["at"]) - told_at).total_seconds(),
        "seconds from SIGTERM to the end": (ended_at - told_at).total_seconds(),
    }
    for name, value in figures.items():
        record_property(name, round(value, 3))
    with capsys.disabled():
        told = ", ".join(f"{name}: {value:.2f}" for name, value in figures.items())
        sys.stdout.write(f"\n{told}. {saved['message']}\n")


def test_the_unit_is_installed_told_how_to_be_used_and_removed(
    found_realm: Founder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = found_realm()
    # Stands for a user's home; a systemd that complains of everything stands for the machine's own.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "cfg"))
    monkeypatch.setenv("REALM_EVAL_STEPS", "70")
    units = tmp_path / "cfg" / "systemd" / "user"
    assert realm.cli_json("install-service", "--print")["verified"] in (True, None)
    assert not units.exists()

    installed = realm.cli("install-service")
    assert installed.returncode == 0
    (unit,) = units.iterdir()
    for command in ("daemon-reload", f"enable --now {unit.name}", f"status {unit.name}"):
        assert f"systemctl --user {command}" in installed.stdout
    assert "loginctl enable-linger" in installed.stdout
    assert "Not passed on: REALM_EVAL_STEPS" in installed.stdout
    assert unit.read_text() == realm.cli("install-service", "--print").stdout

    wants = units / "default.target.wants"
    wants.mkdir()
    (wants / unit.name).symlink_to(unit)
    removed = realm.cli("install-service", "--remove")
    assert f"systemctl --user stop {unit.name}" in removed.stdout
    assert [*wants.iterdir()] == []
    assert not unit.exists()
    assert realm.cli_json("install-service", "--remove")["removed"] is False


def test_what_systemd_finds_wrong_with_the_unit_is_passed_on(
    found_realm: Founder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = found_realm()
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "systemd-analyze"
    program.write_text(
        '#!/bin/sh\n[ "$1 $2" = "--user verify" ] && [ -n "$XDG_RUNTIME_DIR" ] || exit 9\n'
        'echo "other.service: not ours" >&2\necho "$3:7: Unknown key" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    told = realm.cli_json("install-service", "--print")
    assert told["verified"] is False
    assert told["complaint"].endswith(":7: Unknown key")
    program.unlink()
    monkeypatch.setenv("PATH", str(tools))
    assert realm.cli_json("install-service", "--print")["verified"] is None
