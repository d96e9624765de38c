"""The module `realm` as people import it, from wherever they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from core.ending import LONGEST_STOP_SECONDS
from core.errors import Conflict
from core.instance import REALM_UP, InstanceLock
from core.paths import RealmPaths
from core.services import read_services
from realm import STOP_SECONDS, _reign, app
from tests.waiting import wait_until


def python(code: str, cwd: Path, **environment: str) -> str:
    """Run `code` in a fresh interpreter; what it printed."""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_realm_and_open_tavern_are_imported_from_any_directory(tmp_path: Path) -> None:
    """G17: the documented import failed, as something else of that name came first; `queue` is our data folder."""
    (tmp_path / "queue").mkdir()
    code = "from realm import Realm, open_tavern; print(Realm('.').paths.base, callable(open_tavern))"
    assert python(code, tmp_path) == f"{tmp_path} True"


def test_open_tavern_starts_a_realm_shows_its_page_and_finds_it_the_next_time(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path / "home of dio")
    paths.create()
    paths.config_file.write_text("services: {ports: auto}\n")
    (paths.control / ".stop").touch()  # no trainer: this is about the page
    shown = tmp_path / "shown.txt"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {shown}\n')
    browser.chmod(0o755)
    code = f"from realm import open_tavern; print(open_tavern(base_dir={str(paths.base)!r}))"
    try:
        first = python(code, tmp_path, BROWSER=str(browser))
        again = python(code, tmp_path, BROWSER=str(browser))
        assert first == again == read_services(paths)["tavern"]["url"]
        wait_until(lambda: shown.exists() and shown.read_text() == f"{first}\n{first}\n")
    finally:
        holder = InstanceLock.holder(paths.lock)
        if holder is not None:
            psutil.Process(holder["pid"]).terminate()
    wait_until(lambda: InstanceLock.holder(paths.lock) is None, 30)


def test_a_tavern_that_cannot_be_opened_raises_why(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path)
    paths.create()
    paths.config_file.write_text("hero: nobody_i_know\n")
    code = (
        "from realm import open_tavern\nfrom core.errors import RealmError\n"
        f"try:\n    open_tavern(base_dir={str(tmp_path)!r})\nexcept RealmError as error:\n    print(error)\n"
    )
    assert "There is no hero 'nobody_i_know'" in python(code, tmp_path)


def test_the_version_is_told_without_a_verb() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"realm {version('realm-of-training')}\n")


def test_whoever_ends_the_realm_allows_for_all_stages_of_its_end() -> None:
    """B13: systemd kills what takes longer than TimeoutStopSec, `realm down` gives up."""
    assert sum(STOP_SECONDS.values()) < LONGEST_STOP_SECONDS
    assert list(STOP_SECONDS) == ["trainer", "loops", "sites", "scribe", "address book", "saga"]
    assert STOP_SECONDS["trainer"] > 600


def test_once_the_realm_has_ended_no_ctrl_c_can_make_a_failure_of_it(paths: RealmPaths) -> None:
    """asyncio leaves a handler behind that raises, amid whatever is left to do."""
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": REALM_UP})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Conflict):
            _reign(paths, None, quiet=True)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
        lock.release()


@pytest.mark.parametrize("word", ["pkill", "pgrep", "killall", "process_iter"])
def test_no_program_and_no_page_ends_or_finds_processes_by_name(word: str) -> None:
    """B6: the documented remedy was `pkill -f`, which ended unrelated processes (law 10)."""
    from tests.test_architecture import code_files
    from tests.test_docs import PAGES

    found = [file for file in (*code_files(), *PAGES) if word in file.read_text(encoding="utf-8")]
    assert not found
