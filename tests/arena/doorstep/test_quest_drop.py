"""Files copied into the inbox by `realm quest add`: every kind that the inbox takes, with its sidecar."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from arena.doorstep.quest_drop import drop_quest
from arena.quest_names import QUEST_SUFFIXES
from core.errors import InvalidInput
from core.files import Files
from core.paths import RealmPaths
from tests.arena.quest_makers import everything_in


@pytest.mark.parametrize("suffix", QUEST_SUFFIXES)
def test_every_kind_of_file_is_copied_as_it_is_under_a_name_of_its_own(
    paths: RealmPaths, tmp_path: Path, suffix: str
) -> None:
    """C1: a taken name gets a number, before the whole suffix. C4: the sidecar goes along."""
    source = tmp_path / f"x.v2{suffix}"
    source.write_bytes(b"\x00not looked at")
    source.with_name(f"{source.name}.meta.json").write_text("{}")
    assert drop_quest(paths, source) == paths.inbox / "normal" / source.name
    assert drop_quest(paths, source, "high") == paths.inbox / "high" / source.name
    second = drop_quest(paths, source)
    assert second == paths.inbox / "normal" / f"x.v2_2{suffix}"
    assert second.read_bytes() == source.read_bytes()
    assert len(everything_in(paths.inbox)) == 6


def test_a_sidecar_of_the_plain_name_goes_along_under_the_packed_one(paths: RealmPaths, tmp_path: Path) -> None:
    """C4: generators write it before the file is packed."""
    (tmp_path / "x.jsonl.gz").touch()
    (tmp_path / "x.jsonl.meta.json").write_text('{"generator_id": "a"}')
    drop_quest(paths, tmp_path / "x.jsonl.gz")
    assert everything_in(paths.inbox / "normal") == ["x.jsonl.gz", "x.jsonl.gz.meta.json"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("two\nlines.jsonl", "control characters"), (f"{'x' * 220}.jsonl", "226 bytes"), ("\udcff.jsonl", "not UTF-8")],
    ids=["control", "long", "bytes"],
)
def test_a_name_that_the_inbox_does_not_take_is_refused_at_once_for_its_reason(
    paths: RealmPaths, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(InvalidInput, match=f"{reason}.*: rename it"):
        drop_quest(paths, tmp_path / name)
    assert everything_in(paths.inbox) == []


def test_a_number_does_not_make_a_name_too_long(paths: RealmPaths, tmp_path: Path) -> None:
    source = tmp_path / f"{'x' * 194}.jsonl"
    source.write_text("{}\n")
    drop_quest(paths, source)
    with pytest.raises(InvalidInput, match="202 bytes"):
        drop_quest(paths, source)
    assert everything_in(paths.inbox) == [f"normal/{source.name}"]


def test_a_sidecar_that_is_no_plain_file_is_not_left_out_in_silence(paths: RealmPaths, tmp_path: Path) -> None:
    """C4."""
    (tmp_path / "x.jsonl").write_text("{}\n")
    (tmp_path / "x.jsonl.meta.json").symlink_to("elsewhere")
    with pytest.raises(InvalidInput, match="its sidecar"):
        drop_quest(paths, tmp_path / "x.jsonl")


@pytest.mark.parametrize("name", ["x.gz", "x.txt", "x.jsonl.meta.json", "x.jsonl.rejection.json", ".x.json", "x.JSON"])
def test_other_names_are_refused(paths: RealmPaths, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(InvalidInput, match="its name must end in"):
        drop_quest(paths, tmp_path / name)
    assert everything_in(paths.inbox) == []


def test_two_who_drop_one_name_at_once_both_keep_their_sidecars(paths: RealmPaths, tmp_path: Path) -> None:
    """C4: the loser took the winner's sidecar with it."""
    source = tmp_path / "x.jsonl"
    source.write_text("{}\n")
    source.with_name("x.jsonl.meta.json").write_text("{}")
    other = threading.Thread(target=drop_quest, args=(paths, source))

    class MetAtTheDoor(Files):
        def write_atomic(self, path: Path, data: bytes, *, durable: bool, mode: int | None = None) -> None:
            if other.ident is None:
                other.start()
                other.join(0.3)  # it waits for us, or takes the name
            super().write_atomic(path, data, durable=durable, mode=mode)

    drop_quest(paths, source, files=MetAtTheDoor())
    other.join()
    assert everything_in(paths.inbox / "normal") == [
        "x.jsonl", "x.jsonl.meta.json", "x_2.jsonl", "x_2.jsonl.meta.json"
    ]  # fmt: skip


def test_what_is_in_is_told_so_where_only_its_old_name_cannot_go(paths: RealmPaths, tmp_path: Path) -> None:
    """C4: it was told as refused, and its sidecar was gone."""

    class KeepsNames(Files):
        def unlink(self, path: Path) -> None:
            raise OSError(errno.EIO, "broken")

    (tmp_path / "x.jsonl").write_text("{}\n")
    (tmp_path / "x.jsonl.meta.json").write_text("{}")
    target = drop_quest(paths, tmp_path / "x.jsonl", files=KeepsNames())
    assert target.read_text() == "{}\n"
    assert everything_in(paths.inbox / "normal") == ["x.jsonl", "x.jsonl.meta.json"]
