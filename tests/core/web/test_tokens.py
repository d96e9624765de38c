"""The token file: whole, private, made once, and where programs look for the token they show."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.files import Files
from core.http.tokens import bearer, client_token, ensure_token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".realm.token"


def test_a_token_is_made_once_and_nobody_else_may_read_it(path: Path) -> None:
    """Law 8: never in a world-readable place, whatever the umask."""
    before = os.umask(0)
    try:
        token = ensure_token(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) == 43
    assert ensure_token(path) == token
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_two_realms_have_two_tokens(tmp_path: Path) -> None:
    assert ensure_token(tmp_path / "a") != ensure_token(tmp_path / "b")


def test_processes_that_make_it_at_once_agree(path: Path) -> None:
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(ensure_token(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == [path.read_text().strip()] * 8
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_that_others_may_read_is_not_believed(path: Path, mode: int) -> None:
    """Law 6: gates fail closed."""
    token = ensure_token(path)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match="Others may read") as caught:
        ensure_token(path)
    assert token not in str(caught.value)
    assert path.exists()


class DiskWithoutPermissions(Files):
    """FAT: every file is readable by everybody, and stays so."""

    def move_new(self, source: Path, target: Path) -> None:
        super().move_new(source, target)
        target.chmod(0o777)


def test_a_disk_that_keeps_nothing_private_gets_no_token(path: Path) -> None:
    with pytest.raises(InvalidInput, match="without permissions"):
        ensure_token(path, files=DiskWithoutPermissions())
    assert list(path.parent.iterdir()) == []


class FullDisk(Files):
    def fsync(self, fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_half_token(path: Path) -> None:
    """B3: a write that fails is a plain error and leaves nothing behind."""
    with pytest.raises(InvalidInput, match="No space left"):
        ensure_token(path, files=FullDisk())
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("text", ["", "\n", "hunter2", "two words and more of them", "ünïcödé-ünïcödé-ü", "a\nb" * 9])
def test_a_file_that_holds_no_token_is_told_of_without_its_content(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match=r"\.realm\.token") as caught:
        ensure_token(path)
    assert not text.strip() or text not in str(caught.value)


def test_a_token_of_ones_own_is_taken(path: Path) -> None:
    path.write_text("correct-horse-battery-staple\n")
    path.chmod(0o600)
    assert ensure_token(path) == "correct-horse-battery-staple"


def test_a_program_looks_into_the_environment_the_base_directory_and_the_home(path: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    env = {"HOME": str(home)}
    assert client_token(path, env) is None
    (home / ".config" / "realm").mkdir(parents=True)
    (home / ".config" / "realm" / "token").write_text("of-the-home\n")
    assert client_token(path, env) == "of-the-home"
    path.write_text("of-the-base")
    assert client_token(path, env) == "of-the-base"
    assert client_token(None, env) == "of-the-home", "a realm elsewhere is not shown the token of this one"
    assert client_token(path, {**env, "REALM_TOKEN": "of-the-environment"}) == "of-the-environment"
    (tmp_path / "xdg" / "realm").mkdir(parents=True)
    (tmp_path / "xdg" / "realm" / "token").write_text("of-xdg")
    assert client_token(None, {**env, "XDG_CONFIG_HOME": str(tmp_path / "xdg")}) == "of-xdg"


def test_what_is_no_token_never_becomes_a_header(path: Path) -> None:
    """A newline in it would be a header of its own."""
    with pytest.raises(InvalidInput, match="REALM_TOKEN holds no token"):
        client_token(path, {"REALM_TOKEN": "x\r\nX-Evil: 1"})
    assert bearer(None) == {}
    assert bearer("x") == {"Authorization": "Bearer x"}
