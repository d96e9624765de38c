"""The Armory: what it shows, what it refuses, what it writes, and how it is taken back."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import msgspec
import pytest

from arena.armory.armory import Armory
from arena.armory.catalogue import items
from arena.armory.desk import ArmoryDesk
from arena.armory.drafts import SettingsRefused
from arena.armory.effects import WORDS, effect_of
from arena.armory.estimating import compare
from arena.command.live_settings import LiveSettings
from arena.journal import JOURNAL_NAME, Genesis
from arena.ravens.raven_post import RavenPost
from arena.start_check import read_setup
from core.errors import Conflict, NotFound, Unavailable
from core.files import Files
from core.paths import RealmPaths
from core.saga import Event, Saga, open_saga
from core.settings_reading import setting_names
from core.shell.config_file import change_settings
from core.shell.settings_history import MOST_VERSIONS

SECRET = "discord://4815162342/hunter2-token"
BY = "a test"
SMALL = """\
# mine
#save_steps: 10000
gates:
  #level: standard
hyperparams:
  # how fast
  #learning_rate: null
retention:
  #keep: []
curriculum:
  #skills: {bin: 1.0}
notifications:
  #targets: []
"""
"""Written as the shipped file is, and read in a tenth of the time."""


class Hall:
    """An armory over a base directory, as a daemon has it."""

    def __init__(self, paths: RealmPaths, saga: Saga, overrides: dict[str, Any]) -> None:
        self.paths = paths
        self.saga = saga
        settings = read_setup(paths, overrides).settings
        self.live = LiveSettings(settings, paths.config_file, lambda: read_setup(paths, overrides).settings)
        self.armory = Armory(paths, self.live, saga, overrides)

    def shown(self, name: str) -> dict[str, Any]:
        return next(
            each for part in self.armory.view()["sections"] for each in part["settings"] if each["name"] == name
        )

    def save(self, changes: dict[str, Any], reset: list[str] | None = None) -> dict[str, Any]:
        return self.armory.save(self.armory.view()["etag"], changes, reset or [], BY)

    def told(self) -> list[Event]:
        return [event for event in self.saga.latest_events(50) if event.kind == "settings_changed"]


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga


@pytest.fixture
def hall(paths: RealmPaths, saga: Saga) -> Hall:
    paths.config_file.write_text(SMALL)
    return Hall(paths, saga, {})


def test_every_setting_is_shown_with_help_and_with_when_it_takes_effect(hall: Hall) -> None:
    shown = [each for part in hall.armory.view()["sections"] for each in part["settings"]]
    assert [each["name"] for each in shown] == list(items())
    assert {each["name"] for each in shown} == set(setting_names())
    assert all(each["help"] and effect_of(each["name"]) in WORDS for each in shown)
    assert all(each["source"]["kind"] in ("default", "hero") and not each["pending"] for each in shown)


def test_a_value_is_shown_with_the_place_it_comes_from(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """F12: two sources were mixed, and nobody saw which one counted."""
    hall.save({"save_steps": 500, "hyperparams.learning_rate": "1e-4"})
    monkeypatch.setenv("REALM_EVAL_STEPS", "77")
    line = hall.shown("save_steps")["source"]["line"]
    assert hall.paths.config_file.read_text().splitlines()[line - 1] == "save_steps: 500"
    assert hall.shown("hyperparams.learning_rate")["value"] == 0.0001
    assert hall.shown("hyperparams.epochs")["source"]["kind"] == "hero"
    assert hall.shown("hyperparams.epochs")["of_hero"] is not None
    bound = hall.shown("eval_steps")
    assert (bound["value"], bound["source"]) == (
        77, {"kind": "environment", "line": None, "variable": "REALM_EVAL_STEPS"},
    )  # fmt: skip
    assert "REALM_EVAL_STEPS" in bound["fixed"]


def test_what_the_command_line_says_is_not_for_the_page_to_change(paths: RealmPaths, saga: Saga) -> None:
    bound = Hall(paths, saga, {"services": {"ports": "auto"}}).shown("services.ports")
    assert (bound["value"], bound["source"]["kind"]) == ("auto", "option")
    assert bound["fixed"]


def test_a_check_tells_every_fault_with_its_field_and_writes_nothing(hall: Hall) -> None:
    before = {path: path.read_bytes() for path in hall.paths.configs.rglob("*") if path.is_file()}
    checked = hall.armory.check({"hyperparams.learning_rate": 5, "save_steps": "many", "profile.name": "chatmel"}, [])
    assert not checked["valid"]
    assert {finding["field"] for finding in checked["findings"]} >= {"hyperparams.learning_rate", "save_steps"}
    assert "Did you mean chatml?" in str(hall.armory.check({"profile.name": "chatmel"}, [])["findings"])
    unknown = hall.armory.check({"hyperparams.learning_rat": 1}, [])["findings"]
    assert "Did you mean hyperparams.learning_rate?" in unknown[0]["message"]
    assert {path: path.read_bytes() for path in hall.paths.configs.rglob("*") if path.is_file()} == before


def test_a_check_shows_the_lines_that_would_change(hall: Hall) -> None:
    checked = hall.armory.check({"hyperparams.learning_rate": 0.001}, [])
    assert [line for line in checked["diff"] if line[0] in "+-"] == [
        "-  #learning_rate: null",
        "+  learning_rate: 0.001",
    ]
    (change,) = checked["changes"]
    assert (change["before"], change["after"], change["takes_effect"]) == (None, 0.001, "next_claim")


def test_a_saved_change_keeps_the_file_as_people_wrote_it_and_takes_effect(hall: Hall) -> None:
    before = hall.paths.config_file.read_text()
    saved = hall.save({"retention.keep": ["checkpoint-10-20261121-0900", "20"], "gates.level": "deep"})
    after = hall.paths.config_file.read_text()
    assert len(before.splitlines()) == len(after.splitlines())
    assert "keep: [checkpoint-10-20261121-0900, '20']" in after
    assert hall.live.current.gates.level == "deep"
    (event,) = hall.told()
    assert BY in event.message
    assert event.data is not None
    assert [change["name"] for change in event.data["changes"]] == ["gates.level", "retention.keep"]
    assert saved["version"] == event.data["version"] == 1


def test_what_waits_for_a_start_is_shown_as_waiting(hall: Hall) -> None:
    hall.save({"services.tavern": 9000, "trainer.tf32": True, "save_minutes": 5.0})
    shown = [hall.shown(name) for name in ("services.tavern", "trainer.tf32", "save_minutes", "gates.level")]
    assert [each["pending"] for each in shown] == [True, True, True, False]
    assert shown[0]["in_force"] == 8888
    hall.armory.at_trainer_start = hall.live.current
    assert not hall.shown("trainer.tf32")["pending"]


def test_a_reset_makes_the_file_as_it_was_shipped(hall: Hall) -> None:
    before = hall.paths.config_file.read_text()
    hall.save({"save_steps": 5, "curriculum.skills": {"bin": 1.0, "sy": 2.0}, "notifications.targets": [SECRET]})
    hall.save({}, ["save_steps", "curriculum.skills", "notifications.targets"])
    assert hall.paths.config_file.read_text() == before


def test_a_file_that_changed_meanwhile_is_not_overwritten(hall: Hall) -> None:
    etag = hall.armory.view()["etag"]
    hall.paths.config_file.write_text("# mine\nsave_steps: 7\n")
    with pytest.raises(Conflict, match="changed meanwhile"):
        hall.armory.save(etag, {"save_steps": 8}, [], BY)
    assert hall.paths.config_file.read_text() == "# mine\nsave_steps: 7\n"


async def test_a_disk_that_refuses_is_told_in_a_sentence(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A28: it was a bug with a traceback."""
    post = RavenPost(hall.paths.notices, hall.saga, lambda: hall.live.current.notifications)
    desk = ArmoryDesk(hall.paths, hall.armory, post, device=lambda: None, trainer_pid=lambda: None)
    etag = (await desk.view())["etag"]

    def refuse(*_: Any, **__: Any) -> Never:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Files, "write_atomic", refuse)
    with pytest.raises(Unavailable, match="settings cannot be read or written: No space left on device"):
        await desk.save(etag, {"save_steps": 9}, [], BY)
    assert hall.paths.config_file.read_text() == SMALL


def test_an_invalid_value_is_refused_and_an_error_of_before_does_not_stand_in_the_way(hall: Hall) -> None:
    with pytest.raises(SettingsRefused, match="learning_rate"):
        hall.save({"hyperparams.learning_rate": 5})
    hall.paths.config_file.write_text("save_steps: 0\neval_steps: 0\n")
    assert not hall.armory.view()["valid"]
    hall.save({"save_steps": 3})
    assert hall.paths.config_file.read_text() == "save_steps: 3\neval_steps: 0\n"


def test_a_file_that_is_no_yaml_is_shown_as_such_and_left_alone(hall: Hall) -> None:
    hall.paths.config_file.write_text(f"hero: [\n{SECRET}")
    view = hall.armory.view()
    assert not view["valid"]
    assert "not valid YAML" in view["problems"][0]["message"]
    assert "hunter2" not in str(view)
    with pytest.raises(SettingsRefused):
        hall.armory.save(view["etag"], {"save_steps": 3}, [], BY)


def test_settings_that_the_hero_has_trained_with_stay(hall: Hall) -> None:
    genesis = Genesis(seq=1, at="2026-11-21T09:30:00+00:00", hero="seedling", base_model="seedling", weights="")
    (hall.paths.current_model / JOURNAL_NAME).write_bytes(msgspec.json.encode(genesis) + b"\n")
    assert "realm hero use" in hall.shown("hero")["locked"]
    assert hall.shown("save_steps")["locked"] is None
    with pytest.raises(SettingsRefused, match="was trained with"):
        hall.save({"hero": "dio"})


def test_a_secret_is_never_shown_and_can_be_kept(hall: Hall) -> None:
    hall.save({"notifications.targets": [SECRET, "ntfy://garden"]})
    shown = hall.shown("notifications.targets")
    assert [each["shown"] for each in shown["value"]] == ["discord://…", "ntfy://…"]
    kept = [{"keep": shown["value"][0]["keep"]}, "json://new-one"]
    checked = hall.armory.check({"notifications.targets": kept}, [])
    hall.save({"notifications.targets": kept})
    assert list(hall.live.current.notifications.targets) == [SECRET, "json://new-one"]
    past = hall.armory.past(2)
    everything = str([hall.armory.view(), checked, past, hall.armory.history(), [vars(each) for each in hall.told()]])
    assert "hunter2" not in everything
    assert "garden" not in everything
    refused = hall.armory.check({"notifications.targets": [f"{SECRET} with a blank"]}, [])
    assert not refused["valid"]
    assert "hunter2" not in str(refused)


def test_going_back_shows_what_it_does_and_can_itself_be_taken_back(hall: Hall) -> None:
    first = hall.paths.config_file.read_text()
    hall.save({"save_steps": 5})
    hall.save({"save_steps": 6, "eval_rows": 9})
    changed = hall.paths.config_file.read_text()
    assert [(each["number"], each["names"]) for each in hall.armory.history()["versions"]] == [
        (2, ["save_steps", "eval_rows"]), (1, ["save_steps"]),
    ]  # fmt: skip
    past = hall.armory.past(1)
    assert {change["name"]: (change["before"], change["after"]) for change in past["changes"]} == {
        "save_steps": (6, 10_000), "eval_rows": (9, 200),
    }  # fmt: skip
    hall.armory.restore(1, past["etag"], BY)
    assert hall.paths.config_file.read_text() == first
    assert hall.live.current.save_steps == 10_000
    hall.armory.restore(3, hall.armory.view()["etag"], BY)
    assert hall.paths.config_file.read_text() == changed


def test_settings_are_kept_as_the_default_and_gone_back_to(hall: Hall) -> None:
    """Whatever has been tried since, there is one text of the file that is known to be good."""
    assert hall.armory.history()["default"] is None
    for ask in (hall.armory.default, lambda: hall.armory.restore_default(hall.armory.view()["etag"], BY)):
        with pytest.raises(NotFound, match="No settings were kept"):
            ask()
    hall.save({"save_steps": 5, "notifications.targets": [SECRET]})
    good = hall.paths.config_file.read_text()
    with pytest.raises(Conflict):
        hall.armory.save_default("none", BY)
    kept = hall.armory.save_default(hall.armory.view()["etag"], BY)
    assert hall.armory.history()["default"] == kept
    news = hall.saga.latest_events(1)[0]
    assert (news.kind, news.data) == ("settings_kept", {"by": BY})

    hall.save({"save_steps": 6, "eval_rows": 9})
    told = hall.armory.default()
    assert {change["name"]: (change["before"], change["after"]) for change in told["changes"]} == {
        "save_steps": (6, 5), "eval_rows": (9, 200),
    }  # fmt: skip
    assert "hunter2" not in str(told)
    with pytest.raises(Conflict):
        hall.armory.restore_default("none", BY)
    restored = hall.armory.restore_default(told["etag"], BY)
    assert hall.paths.config_file.read_text() == good
    assert hall.told()[-1].data["changes"] == told["changes"]
    assert hall.live.current.save_steps == 5
    hall.armory.restore(restored["version"], restored["etag"], BY)
    assert hall.live.current.save_steps == 6
    assert {file.stat().st_mode & 0o777 for file in hall.paths.settings_history.iterdir()} == {0o600}


def test_what_does_not_hold_is_not_kept_as_the_default(hall: Hall) -> None:
    hall.paths.config_file.write_text("save_steps: many\n")
    with pytest.raises(SettingsRefused, match="save_steps"):
        hall.armory.save_default(hall.armory.view()["etag"], BY)
    assert hall.armory.history()["default"] is None


def test_going_back_does_not_change_the_hero(hall: Hall) -> None:
    """A setting alone would leave the hero without his model."""
    hall.save({"hero": "dio"})
    past = hall.armory.past(1)
    assert not past["valid"]
    with pytest.raises(SettingsRefused, match="realm hero use"):
        hall.armory.restore(1, past["etag"], BY)


def test_the_history_is_kept_within_its_budget_and_private(hall: Hall) -> None:
    """Law 9; and old versions hold old secrets."""
    for steps in range(1, MOST_VERSIONS + 5):
        change_settings(hall.paths.config_file, {"save_steps": steps})
    files = sorted(hall.paths.settings_history.iterdir())
    assert len(files) == MOST_VERSIONS
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert hall.armory.history()["versions"][0]["number"] == MOST_VERSIONS + 4


def test_a_change_by_hand_is_an_event_and_one_from_here_is_told_once(hall: Hall) -> None:
    hall.save({"save_steps": 5})
    hall.live.newest(1000.0)
    assert len(hall.told()) == 1
    hall.paths.config_file.write_text(f"save_steps: 6\nnotifications:\n  targets: [{SECRET}]\n")
    hall.live.newest(2000.0)
    event = hall.told()[-1]
    assert "save_steps 5 → 6; notifications.targets" in event.message
    assert "hunter2" not in str(vars(event))
    hall.paths.config_file.write_text("save_steps: 5\n")
    hall.live.newest(3000.0)
    assert len(hall.told()) == 3


def test_memory_is_estimated_for_what_is_edited(hall: Hall) -> None:
    def estimate(changes: dict[str, Any]) -> dict[str, Any]:
        return compare(hall.paths, hall.armory, changes, [], device=lambda: "cpu", trainer_pid=lambda: None)

    told = estimate({"hyperparams.max_length": 4096, "trainer.micro_batch_tokens": 65536})
    assert told["then"]["total"] > 2 * told["now"]["total"] > 0
    assert told["fits"] is not None
    gpu = compare(hall.paths, hall.armory, {}, [], device=lambda: "cuda:0", trainer_pid=lambda: None)
    assert (gpu["room_bytes"], gpu["fits"]) == (None, None), "unknown is null"
    with pytest.raises(SettingsRefused, match="max_length"):
        estimate({"hyperparams.max_length": 1})


def test_the_time_of_a_version_is_when_it_was_replaced(hall: Hall, tmp_path: Path) -> None:
    begun = datetime.now(UTC)
    hall.save({"save_steps": 5})
    (told,) = hall.armory.history()["versions"]
    assert begun <= datetime.fromisoformat(told["at"]) <= datetime.now(UTC)
    assert told["by"] == BY
