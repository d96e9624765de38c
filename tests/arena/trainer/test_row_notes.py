"""With which loss each row was learned: the same figures whoever computes them, and again after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from arena.journal import ClaimEntry, Genesis
from arena.protocol import Command, Event, Progress, QuestEnded, Save, Stop
from arena.rowbook import SUFFIX
from arena.rowbook.row_book import RowBook, read_book, size_of
from arena.tokens.token_file import TokenPile
from arena.trainer.row_notes import RowNotes
from arena.trainer.stream.batching import TokenRow
from arena.trainer.stream.quest_data import QuestData
from arena.trainer.stream.step_plan import StepPlan
from arena.trainer.target_loss import _cross_entropy
from core.files import Files
from tests.arena.trainer.driving import Field
from tests.arena.trainer.fighting_here import fight
from tests.arena.trainer.in_process import living
from tests.arena.trainer.tiny_hero import chat, settings, token_rows
from tests.waiting import wait_until

BUDGET = 1 << 20


def until_learned(event: Event) -> Command | None:
    return Stop(reason="it is learned") if isinstance(event, QuestEnded) else None


def book_of(field: Field, quest_id: str) -> RowBook:
    book = read_book(field.paths.row_books / f"{quest_id}{SUFFIX}")
    assert book is not None
    return book


def figures(book: RowBook) -> list[bytes]:
    return [each.tobytes() for each in (book.first_loss, book.last_loss, book.first_step, book.last_step)]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_loss_and_gradient_have_the_bits_of_torchs_own_cross_entropy(kind: torch.dtype) -> None:
    """Law 3: a figure that is told beside them must not change what is learned."""
    torch.manual_seed(1)
    targets = torch.randint(0, 259, (300,))
    ours = torch.randn(300, 259).to(kind).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    loss, each = _cross_entropy(ours, targets)
    wanted = functional.cross_entropy(theirs.float(), targets, reduction="sum")
    (loss / 7).backward()  # type: ignore[no-untyped-call]
    (wanted / 7).backward()  # type: ignore[no-untyped-call]
    assert torch.equal(loss, wanted)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)
    assert torch.equal(each, functional.cross_entropy(theirs.float(), targets, reduction="none"))
    assert not each.requires_grad


def test_each_row_has_the_loss_that_it_has_alone(tiny_model: Path, tmp_path: Path) -> None:
    """Without learning, the loss of a row is that of the base model, in whatever step and micro-batch it comes.

    D15: every row is learned; none is silently put aside for validation.
    """
    field = Field(tmp_path, tiny_model)
    quest = field.foe("quest", 18, learning_rate=0.0, epochs=2)
    fight(field, quest.claim(), answer=until_learned, row_book_bytes=BUDGET)

    book = book_of(field, "quest")
    seed = sum(map(ord, "quest")) * 1000
    rows = token_rows(tiny_model, tmp_path / "alone", [chat(seed + row) for row in range(18)])
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for number, row in enumerate(rows):
        ids = torch.from_numpy(row.token_ids.astype(np.int64))[None]
        labels = torch.where(torch.from_numpy(row.trained), ids[0], -100)[None]
        alone = model(input_ids=ids, labels=labels).loss.item()
        assert book.first_loss[number] == pytest.approx(alone, rel=1e-4)
        assert book.last_loss[number] == pytest.approx(alone, rel=1e-4)
    steps = list(range(1, 6))
    assert sorted(book.first_step.tolist()) == sorted(steps[:4] * 4 + [5] * 2), "epoch one: steps of four rows"
    assert sorted(book.last_step.tolist()) == sorted([6, 7, 8, 9] * 4 + [10] * 2), "the last one"
    assert (book.claimed.ordinal, book.claimed.rows, book.claimed.content_hash) == (1, 18, quest.claim().content_hash)


def test_the_mean_of_a_step_is_made_of_its_rows(tiny_model: Path, tmp_path: Path) -> None:
    field = Field(tmp_path, tiny_model)
    quest = field.foe("quest", 12, micro_batch_tokens=64)
    told = fight(field, quest.claim(), answer=until_learned, row_book_bytes=BUDGET)

    losses = {point.step: point.loss for event in told if isinstance(event, Progress) for point in event.points}
    book = book_of(field, "quest")
    seed = sum(map(ord, "quest")) * 1000
    targets = np.array([row.targets for row in token_rows(tiny_model, tmp_path, [chat(seed + n) for n in range(12)])])
    for step in (1, 2, 3):
        rows = np.flatnonzero(book.first_step == step)
        mean = (book.first_loss[rows] * targets[rows]).sum() / targets[rows].sum()
        assert losses[step] == pytest.approx(float(mean), rel=1e-5)


def test_after_a_kill_the_figures_are_those_of_an_undisturbed_run(tmp_path: Path, dropout_model: Path) -> None:
    """Rows that are learned again overwrite what was noted of them; what a lost checkpoint held is taken back."""
    straight, killed = Field(tmp_path / "straight", dropout_model), Field(tmp_path / "killed", dropout_model)
    for field in (straight, killed):
        field.foe("before", 6)
        field.foe("long", 40, epochs=2)
    with living(straight, row_book_bytes=BUDGET) as life:
        for foe in straight.foes.values():
            life.learn(foe)
        life.stop()

    with living(killed, row_book_bytes=BUDGET) as life:
        life.send(killed.foes["before"].claim())
        life._reins.allow(2)
        life.until(QuestEnded)
        life.claim(killed.foes["long"])
        life.make_steps(4)
        life.ask(Save(reason="a test"))
        life.make_steps(1)
        wait_until((killed.paths.current_model / "HEAD").exists, message="no checkpoint")
        life.make_steps(9)
        life.slay()
    half = book_of(killed, "long")
    assert (half.newest_step, int((half.first_step > 0).sum())) == (7, 20)
    with living(killed, row_book_bytes=BUDGET) as life:
        life._reins.allow(10_000)
        life.until(QuestEnded, lambda ended: ended.quest_id == "long")
        life.stop()

    for quest_id in ("before", "long"):
        assert figures(book_of(killed, quest_id)) == figures(book_of(straight, quest_id))
    assert not np.array_equal(book_of(straight, "long").first_loss, book_of(straight, "long").last_loss)


def test_without_a_budget_there_are_no_books(tiny_model: Path, tmp_path: Path) -> None:
    field = Field(tmp_path, tiny_model)
    fight(field, field.foe("quest", 4).claim(), answer=until_learned)
    assert not field.paths.row_books.exists()


# --- one process, without a model ------------------------------------------------------------------------------------

ROWS = 4
GENESIS = Genesis(seq=1, at="2026-11-21", hero="tiny", base_model="x", weights="w")


def claim(quest_id: str, ordinal: int) -> ClaimEntry:
    return ClaimEntry(
        seq=1, at="now", ordinal=ordinal, quest_id=quest_id, name=quest_id, content_hash="ab" * 32,
        schema_id="chat_sft_v1", rows=ROWS, settings=settings(epochs=2),
    )  # fmt: skip


def data() -> QuestData:
    pile = TokenPile()
    for line in range(1, ROWS + 1):
        pile.add(2 * line, [1, 2], [False, True])
    return QuestData(pile.tokens())


def step(notes: RowNotes, entry: ClaimEntry, number: int, *, quest_step: int = 0) -> None:
    """One step of the quest, which has one in each epoch, over all of its rows."""
    rows: list[TokenRow] = [data().row(row) for row in range(ROWS)]
    plan = StepPlan(entry.ordinal, quest_step, rows, entry.settings, learning_rate=0.1, learn=True)
    plan.row_losses = torch.full((ROWS,), float(number))
    notes.note(entry, data(), plan, number)


def begun(folder: Path, *, files: Files | None = None, ordinal: int = 1, at: int = 0, budget: int = BUDGET) -> RowNotes:
    notes = RowNotes(folder, budget, files=files or Files())
    notes.begin(GENESIS, ordinal, at)
    return notes


def test_what_a_history_has_taken_back_is_not_on_record_any_more(tmp_path: Path) -> None:
    """A rewind, or a checkpoint that was torn: its steps are not those that come now."""
    notes = begun(tmp_path)
    for ordinal, quest_id in enumerate(("kept", "cut", "gone"), 1):
        step(notes, claim(quest_id, ordinal), ordinal)
    step(notes, claim("cut", 2), 4, quest_step=1)
    notes.flush()
    other = RowNotes(tmp_path, BUDGET)
    other.begin(Genesis(seq=1, at="2027", hero="other", base_model="x", weights="v"), 9, 90)
    step(other, claim("of another model", 9), 99)
    other.flush()
    assert len(os.listdir(tmp_path)) == 4

    begun(tmp_path, ordinal=2, at=2)

    assert sorted(os.listdir(tmp_path)) == [f"{name}{SUFFIX}" for name in ("cut", "kept", "of another model")]
    book = read_book(tmp_path / f"cut{SUFFIX}")
    assert book is not None
    assert (book.first_step.tolist(), book.newest_step) == ([2] * ROWS, 0)
    assert np.isnan(book.last_loss).all()


def test_a_disk_that_refuses_books_is_tried_again_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Files):
        refuses = True

        def replace(self, source: Path, target: Path) -> None:
            if self.refuses:
                raise OSError(28, "No space left on device")
            super().replace(source, target)

    disk = Full()
    notes = begun(tmp_path, files=disk)
    step(notes, claim("first", 1), 1)
    step(notes, claim("second", 2), 2)
    notes.flush()
    assert [name for name in os.listdir(tmp_path) if name.endswith(SUFFIX)] == []
    assert "No space left" in caplog.text
    disk.refuses = False
    notes.flush()
    assert sorted(os.listdir(tmp_path)) == [f"first{SUFFIX}", f"second{SUFFIX}"]


def test_books_are_bounded_in_memory_and_for_one_quest(tmp_path: Path) -> None:
    """Law 9."""
    notes = begun(tmp_path, budget=3 * size_of(ROWS))
    for ordinal in range(1, 9):
        step(notes, claim(f"q{ordinal}", ordinal), ordinal)
    notes.flush()
    assert sorted(os.listdir(tmp_path)) == [f"q{ordinal}{SUFFIX}" for ordinal in (6, 7, 8)]
    small = begun(tmp_path / "small", budget=size_of(ROWS))
    step(small, claim("too large", 1), 1)
    small.flush()
    assert not (tmp_path / "small").exists()
