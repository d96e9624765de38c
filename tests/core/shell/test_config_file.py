"""Settings changed by program: one line changes, everything that people wrote stays, and the file before is kept."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.cli import Interrupted
from core.errors import InvalidInput
from core.files import Files
from core.paths import CHECKOUT
from core.settings import Settings
from core.settings_reading import load_settings, read_yaml, setting_names
from core.shell.config_file import Wish, change_settings, undo_settings, with_settings
from core.shell.config_lines import without_secrets

SHIPPED = (CHECKOUT / "configs" / "realm.yaml").read_text(encoding="utf-8")
OWN = """\
# mine
hero: dio   # the big one

hyperparams:
    learning_rate: 1.0e-05  # careful
    epochs: 2

# where it listens
services: {tavern: 9000, vault: 9001}
"""


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


@pytest.mark.parametrize("name", list(setting_names()))
def test_a_setting_of_the_shipped_file_is_uncommented_in_its_place(name: str) -> None:
    value: Any = Settings()
    for part in name.split("."):
        value = getattr(value, part)
    after = with_settings(SHIPPED, {name: value})
    ((old, new),) = changed_lines(SHIPPED, after)
    assert old.replace("#", "", 1).partition(":")[0] == new.partition(":")[0]
    place: Any = yaml.safe_load(after)
    for part in name.split("."):
        place = place[part]
    assert place == (list(value) if isinstance(value, tuple) else value)


def test_a_value_changes_and_its_comment_and_indentation_stay() -> None:
    assert changed_lines(OWN, with_settings(OWN, {"hero": "mira"})) == [
        ("hero: dio   # the big one", "hero: mira # the big one")
    ]
    assert changed_lines(OWN, with_settings(OWN, {"hyperparams.epochs": 3})) == [("    epochs: 2", "    epochs: 3")]
    assert changed_lines(OWN, with_settings(OWN, {"services.vault": 9002})) == [
        ("services: {tavern: 9000, vault: 9001}", "services: {tavern: 9000, vault: 9002}")
    ]


def test_what_does_not_stand_there_goes_into_its_section_and_not_behind_the_next_comment() -> None:
    lines = with_settings(OWN, {"hyperparams.batch_size": 8, "inbox.settle_seconds": 2.0}).splitlines()
    assert lines.index("    batch_size: 8") < lines.index("# where it listens")
    assert lines[-2:] == ["inbox:", "    settle_seconds: 2.0"]
    assert with_settings("", {"hyperparams.epochs": 1}) == "hyperparams:\n  epochs: 1\n"
    assert with_settings("# only words\n", {"hero": "dio"}) == "# only words\nhero: dio\n"


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=30),
        st.sampled_from(["yes", "null", "1e-05", "a: b", "# c", "", "-", "'", "2026-11-21", "two\nlines", "a, b]"]),
    )
)  # fmt: skip
def test_every_value_is_read_back_as_it_was_given(value: Any) -> None:
    """YAML has a dozen ways to read a word as something else."""
    for text in (SHIPPED, OWN):
        after = with_settings(text, {"profile.system_prompt": value})
        assert yaml.safe_load(after)["profile"]["system_prompt"] == value


def test_line_ends_of_another_system_stay() -> None:
    assert with_settings("# c\r\nhero: dio\r\n", {"hero": "mira"}) == "# c\r\nhero: mira\r\n"


def test_the_file_before_is_kept_and_nothing_is_written_without_need(tmp_path: Path) -> None:
    file = tmp_path / "configs" / "realm.yaml"
    assert change_settings(file, {"hero": "dio"}) is None
    assert file.read_text() == "hero: dio\n"
    backup = change_settings(file, {"hero": "mira"})
    assert backup == file.with_name("realm.yaml.bak")
    assert backup.read_text() == "hero: dio\n"
    stamp = file.stat().st_mtime_ns
    assert change_settings(file, {"hero": "mira"}) is None
    assert (file.stat().st_mtime_ns, backup.read_text()) == (stamp, "hero: dio\n")


def test_settings_that_are_a_link_stay_one(tmp_path: Path) -> None:
    """People keep their settings in a repository of their own."""
    real = tmp_path / "dotfiles" / "realm.yaml"
    real.parent.mkdir()
    real.write_text("hero: dio\n")
    link = tmp_path / "realm.yaml"
    link.symlink_to(real)
    change_settings(link, {"hero": "mira"})
    assert link.is_symlink()
    assert load_settings(real, env={}).hero == "mira"


@pytest.mark.parametrize(
    "text", ["hero: [", "hero: a\nhero: b\n", "- a list\n", "just words\n", "[" * 5000], ids=range(5)
)
def test_a_file_that_is_not_understood_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "realm.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        change_settings(file, {"hero": "mira"})
    assert file.read_text() == text


def test_a_full_disk_leaves_the_settings_as_they_were(tmp_path: Path) -> None:
    """A23: half a settings file would keep the realm from starting."""

    class FullDisk(Files):
        def write(self, fd: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "realm.yaml"
    file.write_text(OWN)
    with pytest.raises(OSError, match="No space"):
        change_settings(file, {"hero": "mira"}, files=FullDisk())
    assert read_yaml(file)["hero"] == "dio"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["realm.yaml"]


@pytest.mark.parametrize("trouble", [Interrupted(), InvalidInput("wrong"), OSError(errno.EIO, "the disk")])
def test_an_undo_whose_check_does_not_come_to_its_end_changes_nothing(tmp_path: Path, trouble: BaseException) -> None:
    """A Ctrl-C during the check left two copies of the backup, and the present settings were gone."""
    file, backup = tmp_path / "realm.yaml", tmp_path / "realm.yaml.bak"
    file.write_text("save_steps: 2\n")
    backup.write_text("save_steps: 1\n")

    def check(looked_at: Path) -> None:
        assert looked_at.read_text() == "save_steps: 1\n"
        assert file.read_text() == "save_steps: 2\n", "a running realm may read it at any moment"
        raise trouble

    with pytest.raises(type(trouble)):
        undo_settings(file, check=check)

    assert (file.read_text(), backup.read_text()) == ("save_steps: 2\n", "save_steps: 1\n")


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_an_undo_that_is_cut_off_anywhere_keeps_both_texts(tmp_path: Path, write: int) -> None:
    class Failing(Files):
        replaced = 0

        def replace(self, source: Path, target: Path) -> None:
            self.replaced += 1
            if self.replaced == write:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().replace(source, target)

    file = tmp_path / "realm.yaml"
    file.write_text("save_steps: 2\n")
    (tmp_path / "realm.yaml.bak").write_text("save_steps: 1\n")

    with pytest.raises(OSError, match="No space"):
        undo_settings(file, check=lambda backup: None, files=Failing())

    texts = {path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert texts == {"save_steps: 1\n", "save_steps: 2\n"}


def test_private_settings_stay_private(tmp_path: Path) -> None:
    file, backup = tmp_path / "realm.yaml", tmp_path / "realm.yaml.bak"
    file.write_text("hero: dio\n")
    file.chmod(0o600)

    change_settings(file, {"hero": "mira"})
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, backup)] == [0o600, 0o600]
    undo_settings(file, check=lambda backup: None)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, backup)] == [0o600, 0o600]
    assert (file.read_text(), backup.read_text()) == ("hero: dio\n", "hero: mira\n")


def test_settings_that_hold_secrets_are_the_owner_s_alone(tmp_path: Path) -> None:
    """Law 8: addresses of notifications are passwords, and the backup keeps those of before."""
    file = tmp_path / "realm.yaml"
    file.write_text("save_steps: 7\n")
    file.chmod(0o644)
    change_settings(file, {"save_steps": 8})
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    for targets in (["discord://id/token"], []):
        backup = change_settings(file, {"notifications.targets": targets})
        assert backup is not None
        assert [stat.S_IMODE(path.stat().st_mode) for path in (file, backup)] == [0o600, 0o600]


NOT_FOR_COMMENTS = "notifications: {targets: [a://b], gather_seconds: 5}\n"


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        ("# mine\nsave_steps: 5  # few\n", "save_steps", "# mine\n#save_steps: 10000  # few\n"),
        ("a:\r\n  #b: 1\r\nsave_steps: 5\r\n", "save_steps", "a:\r\n  #b: 1\r\n#save_steps: 10000\r\n"),
        ("#save_steps: 10000\nsave_steps: 5\n", "save_steps", "#save_steps: 10000\n"),
        (
            "notifications:\n  targets:\n    - a://b\n    # why\n    - c://d\n\n  gather_seconds: 1\n",
            "notifications.targets",
            "notifications:\n  #targets: []\n\n  gather_seconds: 1\n",
        ),
        (NOT_FOR_COMMENTS, "notifications.targets", "notifications: {targets: [], gather_seconds: 5}\n"),
        ("save_steps: 5\n", "eval_steps", "save_steps: 5\n"),
    ],
    ids=range(6),
)
def test_a_reset_comments_the_line_out_or_writes_the_default(before: str, name: str, after: str) -> None:
    defaults = {"save_steps": 10_000, "notifications.targets": (), "eval_steps": 500}
    assert Wish({}, [name], defaults).applied(before) == after


@pytest.mark.parametrize("name", list(setting_names()))
def test_whatever_is_set_and_reset_leaves_the_shipped_file_as_it_was(name: str) -> None:
    default: Any = Settings()
    for part in name.split("."):
        default = getattr(default, part)
    assert Wish({}, [name], {name: default}).applied(with_settings(SHIPPED, {name: ["x"]})) == SHIPPED


def test_a_secret_is_hidden_however_it_is_written() -> None:
    for text in (
        'notifications:\n  targets:\n    - "slack:\\/\\/hunter2"\n    - >-\n      x://\n      hunter2\n  events: []\n',
        "notifications: {targets: [a://hunter2]}\n",
        "#targets: ['a://hunter2']\nnotifications:\n  targets: [a://hunter2,\n    b://hunter2]\n",
        "notifications:\n  targets: a://hunter2 b://hunter2",
    ):
        assert "hunter2" in text
        assert "hunter2" not in without_secrets(text, {"notifications.targets"})
