"""The journal: what is in it is durable, in order, and never guessed at."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.journal import (
    ClaimEntry,
    Dropped,
    End,
    Entry,
    Genesis,
    History,
    Journal,
    MicroBatchSize,
    Quarantine,
    Rewind,
    is_same_history,
    read_history,
)
from core.errors import Conflict
from core.files import Files
from tests.arena.trainer.tiny_hero import settings

AT = "2026-11-21T09:30:00+00:00"


def claim(seq: int, ordinal: int, *, rows: int = 10, **changes: int) -> ClaimEntry:
    return ClaimEntry(
        seq=seq, at=AT, ordinal=ordinal, quest_id=f"q{ordinal}", name=f"q{ordinal}.jsonl", content_hash="0" * 64,
        schema_id="chat_sft_v1", rows=rows, settings=settings(**changes),
    )  # fmt: skip


STORY: list[Entry] = [
    Genesis(seq=1, at=AT, hero="tiny", base_model="seedling", weights="abc"),
    claim(2, 1),
    Dropped(seq=3, at=AT, ordinal=1, quest_step=1, lines=[3, 7]),
    claim(4, 2, epochs=3),
    End(seq=5, at=AT, ordinal=2, quest_step=4, outcome="skipped", reason="„dull“"),
    claim(6, 3),
    End(seq=7, at=AT, ordinal=3, quest_step=0, outcome="lost", reason="gone"),
]


class FullDisk(Files):
    """Takes `room` bytes, then raises."""

    def __init__(self, room: int, error: int) -> None:
        self.room = room
        self._error = error

    def write(self, fd: int, data: bytes) -> None:
        os.write(fd, data[: self.room])
        if len(data) > self.room:
            raise OSError(self._error, os.strerror(self._error))

    def fsync(self, fd: int) -> None:
        if self.room == 10_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal.jsonl")
    for entry in STORY:
        journal.append(entry)
    return journal.path


def test_what_is_appended_is_read_back(path: Path) -> None:
    history = read_history(path)
    assert history == Journal(path).history
    assert history.genesis == STORY[0]
    assert history.claims == {1: STORY[1], 2: STORY[3], 3: STORY[5]}
    assert history.ends == {2: STORY[4], 3: STORY[6]}
    assert history.dropped == {(1, 1)}
    assert (history.seq, history.next_ordinal) == (7, 4)
    assert [history.ordinal_of(quest) for quest in ("q1", "q3", "q4")] == [1, 3, None]
    # 10 rows, 4 a step: 3 steps per epoch.
    assert [history.steps_of(ordinal) for ordinal in (1, 2, 3)] == [3, 4, 0]
    assert [history.rows_learned(ordinal) for ordinal in (1, 2, 3)] == [6, 14, 0]
    assert [history.outcome_of(ordinal) for ordinal in (1, 2, 3)] == ["learned", "skipped", "lost"]


def test_an_empty_history_is_no_error(tmp_path: Path) -> None:
    history = read_history(tmp_path / "none.jsonl")
    assert (history.genesis, history.seq, history.next_ordinal) == (None, 0, 1)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_governs_nothing_and_is_cut_off(path: Path, cut: int) -> None:
    """A kill in mid-append leaves half a line."""
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][: -1 - cut])
    assert read_history(path).seq == 6
    journal = Journal(path)
    assert path.read_bytes() == b"".join(lines[:-1])
    journal.append(STORY[6])
    assert path.read_bytes() == whole


def test_a_last_line_that_lacks_only_its_newline_counts(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert read_history(path).seq == 7
    assert Journal(path).history.seq == 7
    assert path.read_bytes() == whole


@pytest.mark.parametrize("number", [1, 4, 7])
def test_a_damaged_line_is_named_and_nothing_is_trained(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = b"\x00" * (len(lines[number - 1]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(Conflict, match=f"line {number} is damaged"):
        Journal(path)
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("change", ["missing", "twice", "swapped", "ordinal"])
def test_lines_out_of_order_are_damage_too(path: Path, change: str) -> None:
    """A journal put together from two copies must not pass for a history."""
    lines = path.read_bytes().splitlines(keepends=True)
    match change:
        case "missing":
            del lines[2]
        case "twice":
            lines.insert(3, lines[2])
        case "swapped":
            lines[2], lines[3] = lines[3], lines[2]
        case "ordinal":
            lines[3] = lines[3].replace(b'"ordinal":2', b'"ordinal":3')
    path.write_bytes(b"".join(lines))
    with pytest.raises(Conflict, match=r"line [34] is damaged"):
        read_history(path)


@pytest.mark.parametrize(("room", "error"), [(0, errno.ENOSPC), (25, errno.ENOSPC), (10_000, errno.EIO)])
def test_an_append_that_fails_leaves_the_file_as_it_was(path: Path, room: int, error: int) -> None:
    """A full disk took half a line, and the next one was glued to it."""
    before = path.read_bytes()
    disk = FullDisk(room, error)
    journal = Journal(path, files=disk)
    with pytest.raises(OSError, match=os.strerror(error)):
        journal.append(claim(8, 4))
    assert path.read_bytes() == before
    assert (journal.history.seq, journal.history.next_ordinal) == (7, 4)
    disk.room = 9_999
    journal.append(claim(8, 4))
    assert read_history(path) == journal.history


class DiskThatTakesNothingBack(FullDisk):
    """Refuses to cut a file too, as one does that has just been mounted read-only."""

    def truncate(self, fd: int, size: int) -> None:
        if self.room != 9_999:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        super().truncate(fd, size)


@pytest.mark.parametrize(("room", "error"), [(25, errno.ENOSPC), (10_000, errno.EIO)])
def test_what_a_failed_append_leaves_behind_never_comes_before_another_line(path: Path, room: int, error: int) -> None:
    """Half a line was glued to the next one; a whole one made its number stand there twice."""
    before = path.read_bytes()
    disk = DiskThatTakesNothingBack(room, error)
    journal = Journal(path, files=disk)
    for _ in range(2):
        with pytest.raises(OSError, match="Read-only"):
            journal.append(claim(8, 4))
    assert path.read_bytes() != before
    assert journal.size == len(before)
    disk.room = 9_999
    journal.append(claim(8, 4))
    journal.append(claim(9, 5))
    assert read_history(path) == journal.history
    assert journal.size == path.stat().st_size


def test_the_first_line_that_fails_leaves_nothing_behind_either(tmp_path: Path) -> None:
    disk = FullDisk(30, errno.ENOSPC)
    journal = Journal(tmp_path / "journal.jsonl", files=disk)
    with pytest.raises(OSError, match="No space left"):
        journal.append(STORY[0])
    disk.room = 9_999
    Journal(tmp_path / "journal.jsonl", files=disk).append(STORY[0])
    assert read_history(journal.path).genesis == STORY[0]


def test_entries_are_numbered_without_gaps(path: Path) -> None:
    journal = Journal(path)
    for seq in (7, 9):
        with pytest.raises(ValueError, match="after 7"):
            journal.append(msgspec.structs.replace(STORY[1], seq=seq))
    assert read_history(path).seq == 7


@given(rows=st.integers(1, 500), batch=st.integers(1, 70), epochs=st.integers(1, 5))
def test_rows_and_steps_add_up_when_the_last_step_of_an_epoch_is_short(rows: int, batch: int, epochs: int) -> None:
    entry = claim(1, 1, rows=rows, batch_size=batch, gradient_accumulation=1, epochs=epochs)
    learned = [0]
    for _ in range(epochs):
        left = rows
        while left:
            learned.append(learned[-1] + min(batch, left))
            left -= min(batch, left)
    assert entry.steps == len(learned) - 1
    assert [entry.rows_after(step) for step in range(entry.steps + 1)] == learned


def test_a_checkpoints_copy_must_be_a_beginning_of_the_journal(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    assert is_same_history(copy, path)
    assert not is_same_history(path, copy)
    copy.write_bytes(copy.read_bytes().replace(b"q1", b"qX"))
    assert not is_same_history(copy, path)
    assert not is_same_history(tmp_path / "none", path)


@given(st.lists(st.tuples(st.sampled_from(["claim", "end", "rewind", "genesis"]), st.integers(0, 10**6)), max_size=40))
def test_after_any_number_of_rewinds_the_history_is_that_of_its_surviving_lines(
    deeds: list[tuple[str, int]],
) -> None:
    """Law 3: each rewind is compared with the history that was cut by hand and never heard of anything else."""
    history = History()
    history.add(Genesis(seq=1, at=AT, hero="tiny", base_model="seedling", weights="0"))
    survivors: dict[int, list[Entry]] = {1: [Genesis(seq=1, at=AT, hero="tiny", base_model="seedling", weights="0")]}
    for kind, number in deeds:
        seq = history.seq + 1
        if kind == "claim":
            entry: Entry = claim(seq, history.next_ordinal, rows=40)
            kept = [*survivors[seq - 1], entry]
        elif kind == "end" and history.claims:
            ordinal = 1 + number % len(history.claims)
            entry = End(seq=seq, at=AT, ordinal=ordinal, quest_step=number % 5, outcome="skipped", reason="")
            kept = [*survivors[seq - 1], entry]
        elif kind == "genesis":
            entry = Genesis(seq=seq, at=AT, hero="tiny", base_model="seedling", weights=str(seq), checkpoint="c")
            kept = [entry]
        else:
            to_seq = 1 + number % (seq - 1)
            past = survivors[to_seq]
            claims = [each.ordinal for each in past if isinstance(each, ClaimEntry)]
            ordinal = 1 + number % (len(claims) + 1)
            quest_step = number % 4 if ordinal in claims else 0
            entry = Rewind(
                seq=seq, at=AT, checkpoint="c", step=0, to_seq=to_seq, ordinal=ordinal, quest_step=quest_step,
                goes_on=number % 2 == 0, reason="",
            )  # fmt: skip
            kept = [each for each in past if survives(each, ordinal, quest_step)]
            if quest_step and not entry.goes_on:
                kept.append(End(seq=seq, at=AT, ordinal=ordinal, quest_step=quest_step, outcome="rewound", reason=""))
        history.add(entry)
        survivors[seq] = kept
        assert told_by(history) == told_by(by_hand(kept))
        assert history.agrees_with(by_hand(kept), history.next_ordinal, 0)
        for before, lines in survivors.items():
            assert told_by(history.as_of(before)) == told_by(by_hand(lines))


def survives(entry: Entry, ordinal: int, quest_step: int) -> bool:
    if isinstance(entry, ClaimEntry):
        return (entry.ordinal, 0) < (ordinal, quest_step)
    return not isinstance(entry, End) or entry.ordinal < ordinal


def by_hand(entries: list[Entry]) -> History:
    """A history of these entries, whatever their numbers."""
    history = History()
    for entry in entries:
        history._take(entry)
    return history


def told_by(history: History) -> tuple[object, ...]:
    return history.genesis, history.claims, history.ends, history.dropped


def test_a_rewind_to_a_line_that_is_not_there_is_damage(path: Path) -> None:
    journal = Journal(path)
    line = Rewind(
        seq=8, at=AT, checkpoint=None, step=0, to_seq=8, ordinal=1, quest_step=0, goes_on=False, reason=""
    )  # fmt: skip
    with pytest.raises(ValueError, match="a rewind to entry 8"):
        journal.history.add(line)


def test_a_checkpoint_of_a_history_that_ended_a_quest_elsewhere_is_no_ancestor(path: Path) -> None:
    history, other = read_history(path), read_history(path)
    assert history.agrees_with(other, 3, 0)
    other.ends.pop(2)
    assert not history.agrees_with(other, 3, 0)
    assert history.agrees_with(other, 2, 4)
    assert not history.agrees_with(other, 2, 5)


def test_a_checkpoint_that_tells_of_other_sizes_or_left_out_steps_is_no_ancestor(path: Path) -> None:
    """Law 3: both decide what the weights are, of the steps before the cursor and of no others."""
    for entry in (
        MicroBatchSize(seq=8, at=AT, ordinal=2, quest_step=1, tokens=99),
        Quarantine(seq=8, at=AT, ordinal=2, first_step=1, last_step=2, lines=[1], reason="broken"),
    ):
        history, other = read_history(path), read_history(path)
        history.add(entry)
        assert history.agrees_with(other, 2, 1)
        assert not history.agrees_with(other, 2, 2)
