"""The systemd unit: whatever stands in a path, the program gets exactly that."""

from __future__ import annotations

import configparser
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ending import LONGEST_STOP_SECONDS
from core.errors import InvalidInput
from core.paths import CHECKOUT
from core.systemd.unit import WATCHDOG_SECONDS, command_line, unit_name, unit_text, up_command, user_units
from tests.systemd_words import words_of

AWKWARD = [
    "/home/me/my realm",
    "/home/me/100%n done %%",
    "/home/me/$HOME/${PATH}/$$",
    '/home/o\'brien/"quoted"',
    "/home/me/back\\slash\\",
    "/home/me/new\nline\ttab",
    "/home/me/größe ☃",
    "/home/me/; #comment",
    " /leading and trailing ",
]


def sections(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(text)
    return found


@pytest.mark.parametrize("path", AWKWARD, ids=range(len(AWKWARD)))
def test_the_base_directory_reaches_the_program_as_it_is(path: str) -> None:
    unit = sections(unit_text(Path(path)))
    assert words_of(unit["Service"]["ExecStart"]) == up_command(Path(path))
    assert "\n" not in unit["Unit"]["Description"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), max_size=4))
def test_any_words_come_out_as_they_went_in(words: list[str]) -> None:
    line = command_line(["/usr/bin/python3", *words])
    assert "\n" not in line
    assert words_of(line) == ["/usr/bin/python3", *words]


def test_a_program_that_systemd_would_refuse_is_started_by_env() -> None:
    """systemd takes no quotes and backslashes in the path of a program, and says so only when it starts it."""
    assert words_of(command_line(["/home/o'brien/.venv/bin/python", "x"])) == [
        "/usr/bin/env", "/home/o'brien/.venv/bin/python", "x",
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="cannot start"):
        command_line(["/a=b's/python"])


def test_a_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not valid UTF-8"):
        unit_text(Path("/home/me/\udcff"))


def test_the_program_is_this_interpreter_and_this_checkout_and_both_exist() -> None:
    """B5: the unit of a watchdog named a program that had moved, and started nothing."""
    python, script, *rest = up_command(Path("/x"))
    assert (python, Path(script)) == (sys.executable, CHECKOUT / "realm.py")
    assert Path(python).is_file()
    assert Path(script).is_file()
    assert rest == ["--base-dir", "/x", "up"]


def test_the_unit_gives_the_realm_time_to_save_and_ends_a_hung_one() -> None:
    service = sections(unit_text(Path("/x")))["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert service["Restart"] == "on-failure"
    assert float(service["WatchdogSec"]) == WATCHDOG_SECONDS
    assert float(service["TimeoutStopSec"]) == LONGEST_STOP_SECONDS > 600
    assert "User" not in service


def test_a_unit_of_the_system_says_as_whom_it_runs() -> None:
    unit = sections(unit_text(Path("/x"), user="dio"))
    assert unit["Service"]["User"] == "dio"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    assert sections(unit_text(Path("/x")))["Install"]["WantedBy"] == "default.target"


def test_every_base_directory_has_a_unit_of_its_own_and_always_the_same() -> None:
    names = {unit_name(Path(path)) for path in [*AWKWARD, "/srv/my realm", "/home/me/my-realm", "/"]}
    assert len(names) == len(AWKWARD) + 3
    assert unit_name(Path("/home/me/my realm")) == unit_name(Path("/home/me/my realm"))
    assert unit_name(Path("/home/me/my realm")).startswith("realm-my-realm-")
    assert all(name.replace("-", "").replace("_", "").removesuffix(".service").isalnum() for name in names)
    assert all(name.isascii() and len(name) < 100 for name in names)


def test_user_units_lie_where_systemd_looks_for_them(tmp_path: Path) -> None:
    assert user_units({}, tmp_path) == tmp_path / ".config" / "systemd" / "user"
    assert user_units({"XDG_CONFIG_HOME": "/cfg"}, tmp_path) == Path("/cfg/systemd/user")
    assert user_units({"XDG_CONFIG_HOME": "relative"}, tmp_path) == tmp_path / ".config" / "systemd" / "user"
