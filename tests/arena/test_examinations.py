"""Answers on their way to the saga: files that survive whoever is killed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from arena.examinations import Examinations
from arena.protocol import Examined, ExamSheet, OpenQuest, decode_event, encode
from core.files import Files


def examined(exam_id: str = "bin-1", *, step: int = 10, answers: tuple[str | None, ...] = ("1010", None)) -> Examined:
    return Examined(exam_id=exam_id, quest_id="q", step=step, answers=list(answers), seconds=0.5)


class NoDisk(Files):
    def fsync(self, fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_was_kept_is_found_until_it_is_forgotten(tmp_path: Path) -> None:
    """E13: evaluations were counted twice, or lost between two looks."""
    kept = Examinations(tmp_path / "examinations")
    assert (kept.all(), kept.find("bin-1")) == ([], None)
    for one in (examined("sy-2", step=20), examined("bin-1"), examined("bin-1")):
        kept.keep(one)
    assert kept.all() == [examined("bin-1"), examined("sy-2", step=20)]
    kept.forget("bin-1")
    kept.forget("bin-1")
    assert (kept.find("bin-1"), kept.find("sy-2")) == (None, examined("sy-2", step=20))


def test_a_refused_write_leaves_the_answers_of_before(tmp_path: Path) -> None:
    folder = tmp_path / "examinations"
    Examinations(folder).keep(examined())
    with pytest.raises(OSError, match="No space"):
        Examinations(folder, NoDisk()).keep(examined(answers=("another",)))
    assert Examinations(folder).all() == [examined()]


@pytest.mark.parametrize("content", [b"", b"{", b'{"kind":"examined"}', encode(OpenQuest(quest_id="q", path="x"))])
def test_a_damaged_file_holds_no_answers(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bin-1.json").write_bytes(content)
    (tmp_path / "bin-2.json").write_bytes(encode(examined("bin-1")))
    kept = Examinations(tmp_path)
    assert (kept.find("bin-1"), kept.find("bin-2"), kept.all()) == (None, None, [])


def test_a_damaged_file_is_set_aside_and_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The daemon looks every few seconds, for ever."""
    kept = Examinations(tmp_path)
    for content in ("{", "["):
        (tmp_path / "bin-1.json").write_text(content)
        assert (kept.all(), kept.find("bin-1"), kept.all()) == ([], None, [])
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("bin-1.json holds no answers and is set aside as bin-1.json.damaged: ")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("bin-1.json.damaged", "[")]
    kept.keep(examined())
    assert kept.all() == [examined()]


class KeptMeanwhile(Files):
    """The trainer writes the answers right before the daemon moves what it has read."""

    def replace(self, source: Path, target: Path) -> None:
        if target.name.endswith(".damaged"):
            Examinations(source.parent).keep(examined())
        super().replace(source, target)


def test_answers_that_come_while_a_damaged_file_is_set_aside_stay(tmp_path: Path) -> None:
    """E13: an examination was lost between two looks."""
    (tmp_path / "bin-1.json").write_text("{")
    Examinations(tmp_path, KeptMeanwhile()).all()
    assert Examinations(tmp_path).all() == [examined()]


def test_what_lies_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "examinations").write_text("notes")
    kept = Examinations(tmp_path / "examinations")
    assert (kept.all(), kept.find("bin-1")) == ([], None)
    with pytest.raises(NotADirectoryError) as refused:
        kept.keep(examined())
    assert (
        refused.value.strerror
        == f"{tmp_path}/examinations must be a folder, and something else lies there: move that away"
    )


def test_tries_are_counted_until_answers_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "examinations"
    kept = Examinations(folder)
    assert [kept.begin_try("bin-1"), Examinations(folder).begin_try("bin-1"), kept.begin_try("sy-2")] == [1, 2, 1]
    kept.take_back_try("bin-1")
    assert kept.begin_try("bin-1") == 2
    assert (kept.all(), kept.find("bin-1")) == ([], None)
    kept.keep(examined())
    kept.take_back_try("sy-2")
    assert [file.name for file in folder.iterdir()] == ["bin-1.json"]
    (folder / "bin-1.tries").write_text("many")
    assert kept.begin_try("bin-1") == 1
    kept.forget("bin-1")
    assert list(folder.iterdir()) == []


def test_a_try_that_cannot_be_counted_is_not_begun(tmp_path: Path) -> None:
    """Or the trainer dies of it uncounted."""
    folder = tmp_path / "examinations"
    Examinations(folder).begin_try("bin-1")
    with pytest.raises(OSError, match="No space"):
        Examinations(folder, NoDisk()).begin_try("bin-1")
    assert Examinations(folder).begin_try("bin-1") == 2


@pytest.mark.parametrize("exam_id", ["", "../HEAD", "a/b", ".hidden", "x" * 200])
def test_an_id_never_leads_out_of_the_folder(tmp_path: Path, exam_id: str) -> None:
    with pytest.raises(ValueError, match="no id of an examination"):
        Examinations(tmp_path).find(exam_id)


def test_answers_and_unknown_ones_come_over_the_socket_as_they_are() -> None:
    """E7: unreachable was counted as wrong. E15: what was counted had other names on the other side."""
    assert decode_event(encode(examined(answers=("", None, "🤔")))) == examined(answers=("", None, "🤔"))
    sheet = ExamSheet(exam_id="bin-1", questions=["1+1?"], max_new_tokens=8)
    assert encode(OpenQuest(quest_id="q", path="x", examination=sheet)).count(b"1+1?") == 1
