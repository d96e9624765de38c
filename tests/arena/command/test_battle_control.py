"""Battle control: what files in `control/` mean, written by hand or by us."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from arena.command.battle_control import ACTIONS, NO_REASON, BattleControl, Wishes
from core.errors import InvalidInput
from core.files import Files
from core.status_files import read_status

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
QUEST = "q_20261121_093000_5f2c1ab7"
OTHER = "q_20261121_093000_00000000"


@pytest.fixture
def control(tmp_path: Path) -> BattleControl:
    (tmp_path / "control").mkdir()
    return BattleControl(tmp_path / "control")


def names(control: BattleControl) -> list[str]:
    return sorted(path.name for path in control.folder.iterdir())


def test_an_empty_folder_wishes_nothing(control: BattleControl) -> None:
    assert control.read() == Wishes()
    control.folder.rmdir()
    assert control.read() == Wishes()


@pytest.mark.parametrize("action", ["pause", "stop", "skip", "save"])
def test_a_wish_is_read_back_with_reason_and_time(control: BattleControl, action: str) -> None:
    control.write(action, "lunch\nbreak", now=NOW)
    wishes = control.read()
    wish = getattr(wishes, action)
    assert (wish.reason, wish.at, wish.cool) == ("lunch break", NOW, False)
    assert (control.folder / f".{action}").read_text() == f"lunch break\n{NOW.isoformat()}\n"


def test_files_made_by_hand_are_as_good_as_ours(control: BattleControl) -> None:
    (control.folder / ".pause").touch()
    (control.folder / ".stop").write_text("going home\r\n2026-11-21T10:00:00+01:00\r\n")
    wishes = control.read()
    assert wishes.pause is not None
    assert wishes.stop is not None
    assert wishes.pause.reason == NO_REASON
    assert abs((wishes.pause.at - datetime.now(UTC)).total_seconds()) < 60
    assert (wishes.stop.reason, wishes.stop.at) == ("going home", datetime(2026, 11, 21, 9, tzinfo=UTC))


def test_a_pause_may_free_the_accelerator(control: BattleControl) -> None:
    (control.folder / ".pause").write_text(f"gaming\n{NOW.isoformat()}\nCool\n")
    pause = control.read().pause
    assert pause is not None
    assert (pause.reason, pause.at, pause.cool) == ("gaming", NOW, True)


def test_a_level_holds_until_its_file_is_gone(control: BattleControl) -> None:
    """B9, B10: a stop or pause that was seen once is not used up by being seen."""
    control.write("stop", "enough", now=NOW)
    first = control.read().stop
    assert first is not None
    assert control.read().stop == first
    (control.folder / ".stop").unlink()
    assert control.read().stop is None


def test_resume_removes_pause_stop_and_itself(control: BattleControl) -> None:
    """B11: one wish to go on is enough, whoever wrote it."""
    control.write("pause", "", now=NOW)
    control.write("stop", "", now=NOW)
    control.write("resume", "", now=NOW + timedelta(seconds=1))
    assert control.read().resume
    assert control.apply_resume()
    assert names(control) == []
    assert not control.apply_resume()


def test_deleting_the_file_by_hand_is_a_resume_too(control: BattleControl) -> None:
    """B11."""
    control.write("pause", "", now=NOW)
    (control.folder / ".pause").unlink()
    assert control.read() == Wishes()


def test_a_stale_resume_does_not_undo_a_later_pause(control: BattleControl) -> None:
    """B12: a `.resume` that nobody needed is used up without touching the pause that came after it."""
    control.write("resume", "", now=NOW)
    os.utime(control.folder / ".resume", (1_000, 1_000))
    control.write("pause", "later", now=NOW + timedelta(seconds=1))
    assert control.apply_resume()
    assert names(control) == [".pause"]


def test_a_clock_that_was_set_back_does_not_make_a_resume_older_than_the_pause_it_is_for(
    control: BattleControl,
) -> None:
    """B11: the resume was used up, and the pause of yesterday's tomorrow stayed."""
    control.write("pause", "lunch", now=NOW)
    assert control.read().pause is not None
    control.write("resume", "", now=NOW - timedelta(days=1))
    os.utime(control.folder / ".resume", (1_000, 1_000))
    assert control.read().resume
    assert control.apply_resume()
    assert names(control) == []


def test_two_wishes_within_one_tick_of_the_clock_are_told_apart_by_their_text(control: BattleControl) -> None:
    """B12."""
    control.write("resume", "", now=NOW)
    control.write("pause", "later", now=NOW + timedelta(microseconds=1))
    for name in (".resume", ".pause"):
        os.utime(control.folder / name, (1_000, 1_000))
    control.apply_resume()
    assert names(control) == [".pause"]


def test_wishes_set_while_nobody_looked_are_all_there_at_start(tmp_path: Path) -> None:
    """B15: a start clears nothing."""
    folder = tmp_path / "control"
    for action in ACTIONS:
        BattleControl(folder).write(action, "before", now=NOW)
    wishes = BattleControl(folder).read()
    assert None not in (wishes.pause, wishes.stop, wishes.skip, wishes.save)
    assert wishes.resume


def test_a_skip_is_bound_to_the_running_quest_also_over_a_restart(control: BattleControl) -> None:
    """B14: the skip that was meant for one quest never hits another."""
    control.write("skip", "dull", now=NOW)
    bound = control.bind_skip(QUEST)
    assert bound is not None
    assert bound.reason == "dull"
    assert control.read().skip is None
    again = BattleControl(control.folder).bound_skip()
    assert again is not None
    assert (again[0], again[1].reason) == (QUEST, "dull")
    control.clear_skip()
    assert control.bound_skip() is None
    assert names(control) == []


def test_a_skip_is_bound_once(control: BattleControl) -> None:
    """B14."""
    assert control.bind_skip(QUEST) is None
    control.write("skip", "", now=NOW)
    assert control.bind_skip(QUEST) is not None
    assert control.bind_skip(OTHER) is None
    bound = control.bound_skip()
    assert bound is not None
    assert bound[0] == QUEST
    with pytest.raises(InvalidInput):
        control.bind_skip("../x")


def test_a_skip_with_nothing_running_is_dropped_and_hits_no_later_quest(control: BattleControl) -> None:
    """B14."""
    control.write("skip", "", now=NOW)
    control.clear_skip()
    assert control.read().skip is None


def test_a_save_is_taken_once(control: BattleControl) -> None:
    control.write("save", "before the storm", now=NOW)
    taken = control.take_save()
    assert taken is not None
    assert taken.reason == "before the storm"
    assert control.take_save() is None


def test_an_unknown_action_names_the_valid_ones(control: BattleControl) -> None:
    with pytest.raises(InvalidInput, match="pause, resume, stop, skip, save"):
        control.write("rally", "", now=NOW)


@pytest.mark.parametrize(
    "content", [b"\x00\x01\xff", b"\xff" * 5000, b"\x1b[31mred\n", b"", b"\n\n", "ä".encode() * 4000, b"why\nnever\nno"]
)
def test_odd_content_is_a_wish_all_the_same(control: BattleControl, content: bytes) -> None:
    for name in (".pause", ".skip", ".resume"):
        (control.folder / name).write_bytes(content)
    wishes = control.read()
    assert wishes.pause is not None
    assert wishes.pause.reason.isprintable()
    assert wishes.pause.reason
    assert wishes.pause.at.tzinfo is UTC
    control.apply_resume()
    assert control.bind_skip(QUEST) is not None
    control.clear_skip()
    assert names(control) == []


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-21T09:30:00"])
def test_odd_times_in_a_control_file_are_no_reason_to_fail(control: BattleControl, stamp: str) -> None:
    (control.folder / ".stop").write_text(f"why\n{stamp}\n")
    stop = control.read().stop
    assert stop is not None
    assert stop.reason == "why"


def test_directories_pipes_and_dangling_links_are_wishes_and_can_be_undone(control: BattleControl) -> None:
    (control.folder / ".pause").mkdir()
    (control.folder / ".pause" / "dear").touch()
    (control.folder / ".stop").symlink_to("nowhere")
    os.mkfifo(control.folder / ".skip")
    (control.folder / ".save").mkdir()
    wishes = control.read()
    assert [wish.reason for wish in (wishes.pause, wishes.stop, wishes.skip, wishes.save) if wish] == [NO_REASON] * 4
    assert control.bind_skip(QUEST) is not None
    assert control.take_save() is not None
    control.clear_skip()
    control.write("resume", "", now=datetime.now(UTC) + timedelta(seconds=1))
    os.utime(control.folder / ".resume", (4e9, 4e9))
    control.apply_resume()
    assert control.read() == Wishes()
    assert (control.folder / "set-aside.pause" / "dear").exists()


def test_a_wish_can_be_written_where_a_directory_stood(control: BattleControl) -> None:
    (control.folder / ".pause").mkdir()
    control.write("pause", "now for real", now=NOW)
    pause = control.read().pause
    assert pause is not None
    assert pause.reason == "now for real"


class ReadOnly(Files):
    def unlink(self, path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def replace(self, source: Path, target: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")


def test_a_read_only_folder_is_told_once_and_never_raises(
    control: BattleControl, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (".pause", ".resume", ".save", ".skip"):
        (control.folder / name).touch()
    stuck = BattleControl(control.folder, ReadOnly())
    for _ in range(3):
        stuck.apply_resume()
        assert stuck.take_save() is None
        assert stuck.bind_skip(QUEST) is None
    assert len([entry for entry in caplog.records if entry.__dict__.get("event") == "control_file_stuck"]) == 4


# --- state.json -----------------------------------------------------------------------------------------------------


def test_the_state_file_says_until_when_it_holds(control: BattleControl) -> None:
    """B16: a state that nobody renews is `unknown`, not `training` for eight days."""
    control.write_state("training", current_file="x.jsonl", reason=None, now=NOW)
    path = control.folder / "state.json"
    fresh = read_status(path, now=NOW + timedelta(seconds=5))
    assert (fresh["status"], fresh["current_file"], fresh["paused_at"]) == ("training", "x.jsonl", None)
    assert fresh["last_update"] == NOW.isoformat()
    old = read_status(path, now=NOW + timedelta(days=8))
    assert (old["status"], old["last_status"], old["stale"]) == ("unknown", "training", True)


def test_the_begin_of_a_pause_is_kept_over_renewals_and_restarts(control: BattleControl) -> None:
    """B16."""
    path = control.folder / "state.json"

    def paused_at() -> object:
        return json.loads(path.read_text())["paused_at"]

    control.write_state("paused", current_file="x.jsonl", reason="lunch", now=NOW)
    control.write_state("paused", current_file="x.jsonl", reason="lunch", now=NOW + timedelta(seconds=9))
    assert paused_at() == NOW.isoformat()
    again = BattleControl(control.folder)
    again.write_state("paused", current_file="x.jsonl", reason="lunch", now=NOW + timedelta(seconds=99))
    assert paused_at() == NOW.isoformat()
    again.write_state("training", current_file="x.jsonl", reason=None, now=NOW + timedelta(seconds=100))
    assert paused_at() is None
    again.write_state("paused", current_file="x.jsonl", reason=None, now=NOW + timedelta(seconds=101))
    assert paused_at() == (NOW + timedelta(seconds=101)).isoformat()
