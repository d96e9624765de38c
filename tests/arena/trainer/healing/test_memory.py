"""D7: a step that does not fit into memory is made in smaller parts, and the journal says so."""

from __future__ import annotations

import asyncio
import json
import resource
import weakref
from pathlib import Path

import psutil
import pytest
import torch

from arena.journal import MicroBatchSize
from arena.pass_size import PassSize, keep_pass_size, read_pass_size
from arena.protocol import RanOut, Ready, Refused, Trouble, Validation
from arena.rendering import Renderer
from arena.trainer.engine import BattleTrainer
from arena.trainer.healing.out_of_memory import OutOfMemory, smaller_budget, unless_out_of_memory
from arena.trainer.stream.batching import MicroBatch
from arena.trainer.target_loss import SummedLoss
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.healing.lives import Spoil, learn_all, oracle
from tests.arena.trainer.tiny_hero import chat, settings, write_rows

CUDA_SAYS = "CUDA out of memory. Tried to allocate 2.00 GiB."


def card_of(tokens: int) -> Spoil:
    """A CUDA device on which forward and backward of so many padded tokens fit."""

    def spoil(trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        def limited(batch: MicroBatch) -> torch.Tensor:
            if batch.input_ids.numel() > tokens:
                raise torch.OutOfMemoryError(CUDA_SAYS)
            return loss(batch)

        return limited

    return spoil


def sizes_of(field: Field) -> list[MicroBatchSize]:
    return [entry for entry in field.history._entries if isinstance(entry, MicroBatchSize)]


def test_a_cuda_device_that_is_too_small_learns_the_quest_in_smaller_parts(tmp_path: Path, dropout_model: Path) -> None:
    """D7: defaults ran out of memory. Bit for bit the run that was fed the journal; the next quest starts afresh."""
    field = Field(tmp_path / "fought", dropout_model)
    foes = [field.foe(name, 16, micro_batch_tokens=2000) for name in ("wide", "next")]
    keep_pass_size(field.paths.current_model, PassSize(machine="this", tokens=2000, pass_tokens=1))
    lives = learn_all(field, foes, card_of(150))
    assert [lives.end_of(foe.quest_id).outcome for foe in foes] == ["learned", "learned"]
    sizes = sizes_of(field)
    assert {size.ordinal for size in sizes} == {1, 2}
    kept = read_pass_size(field.paths.current_model)
    assert kept is not None
    assert kept.tokens == min(size.tokens for size in sizes), "quests to which it is left are made with what fits"
    for ordinal in (1, 2):
        mine = [size for size in sizes if size.ordinal == ordinal]
        assert mine[0].quest_step == 0
        assert [size.tokens for size in mine] == sorted({size.tokens for size in mine}, reverse=True)
    told = [trouble for trouble in lives.said(Trouble) if trouble.what == "out_of_memory"]
    assert len(told) == len(sizes)
    assert CUDA_SAYS[:-1] in told[0].message
    assert field.history.dropped == set()
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field))


def test_what_the_first_parts_of_a_step_had_given_does_not_count_twice(tmp_path: Path, dropout_model: Path) -> None:
    """D7: the whole step is made again, from no gradients at all."""
    field = Field(tmp_path / "fought", dropout_model)
    batches: list[MicroBatch] = []

    def spoil(trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        def failing(batch: MicroBatch) -> torch.Tensor:
            batches.append(batch)
            if len(batches) == 2:
                raise torch.OutOfMemoryError(CUDA_SAYS)
            return loss(batch)

        return failing

    learn_all(field, [field.foe("late", 8, batch_size=4, micro_batch_tokens=160)], spoil)
    assert len(sizes_of(field)) == 1
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field))


def test_a_row_that_does_not_fit_alone_ends_its_quest_and_says_what_to_do(tmp_path: Path, dropout_model: Path) -> None:
    """D7: no smaller part is left. The quest is withdrawn once, its row is flagged, and the next one is learned."""
    field = Field(tmp_path / "fought", dropout_model)
    foes = [field.foe("long", 12), field.foe("short", 12)]
    with foes[0].path.open() as stream:
        rows = [json.loads(line) for line in stream]
    rows[6]["messages"][0]["content"] = "add " + "1" * 180
    write_rows(foes[0].path, rows)
    lives = learn_all(field, foes, card_of(160))
    assert lives.outcomes() == {"long": "withdrawn", "short": "learned"}
    reason = str(lives.end_of("long").reason)
    assert "line 7 with 2" in reason
    assert "lower hyperparams.max_length (now 256)" in reason
    assert "trainer.micro_batch_tokens is no help" in reason
    (dropped,) = field.history.dropped_by.values()
    assert dropped.cause == "out_of_memory"
    assert field.history.steps_of(1) == dropped.quest_step + 1
    flagged = (field.paths.flagged_examples / "long.jsonl").read_text().splitlines()
    assert json.loads(flagged[dropped.lines.index(7)])["row"] == rows[6]
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field))


def test_a_step_at_which_the_kernel_killed_the_trainer_is_made_in_smaller_parts(
    tmp_path: Path, dropout_model: Path
) -> None:
    """D7: there is no exception to catch then; it is halved once for each such death, whoever is told of it again."""
    field = Field(tmp_path / "fought", dropout_model)
    foe = field.foe("wide", 64, batch_size=8, micro_batch_tokens=2000)
    death = RanOut(ordinal=1, quest_step=3, tokens=2000)
    learn_all(field, [foe], ran_out=death)
    (size,) = sizes_of(field)
    assert (size.ordinal, size.quest_step) == (1, 3)
    assert size.tokens <= 1000
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field))
    again = Field(tmp_path / "again", dropout_model)
    again.foe("wide", 64, batch_size=8, micro_batch_tokens=2000)
    again.journal.write_bytes(field.journal.read_bytes())
    assert learn_all(again, [], ran_out=death).outcomes() == {"wide": "learned"}
    assert sizes_of(again) == [size]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(CUDA_SAYS),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
    ],
    ids=["host", "cuda", "cpu", "cpu-windows", "cublas", "driver"],
)
def test_nothing_of_the_failed_work_is_kept_alive(error: Exception) -> None:
    """The trap: a traceback that is being handled holds the tensors for which there was no room."""
    seen: list[weakref.ref[torch.Tensor]] = []

    def work() -> None:
        tensor = torch.zeros(3)
        seen.append(weakref.ref(tensor))
        raise type(error)(*error.args)

    answer = unless_out_of_memory(work)
    assert isinstance(answer, OutOfMemory)
    assert answer.message
    assert seen[0]() is None


def test_other_errors_are_raised() -> None:
    def work() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        unless_out_of_memory(work)


@pytest.mark.parametrize(
    ("lengths", "budget", "smaller"),
    [
        ([10, 10, 10, 10], 4096, 20),
        ([10, 10, 10, 10], 20, 10),
        ([10, 10], 10, None),
        ([100, 10, 10], 20, 10),
        ([], 9, None),
    ],
    ids=["all-in-one", "pairs", "alone", "one-is-longer-than-the-budget", "no-rows"],
)
def test_a_budget_is_halved_by_what_it_holds(lengths: list[int], budget: int, smaller: int | None) -> None:
    """Half of a budget that was never full changes nothing."""
    assert smaller_budget(lengths, budget) == smaller


def test_measuring_takes_smaller_parts_too_or_is_left_out(tmp_path: Path, tiny_model: Path) -> None:
    """D7: the trainer died of memory at the steps at which it measured."""
    field = Field(tmp_path, tiny_model)
    foe = field.foe("small", 12, micro_batch_tokens=64)
    write_rows(field.paths.validation / "held_out.jsonl", [chat(seed) for seed in range(6)])
    lives = learn_all(field, [foe], card_of(150), eval_steps=2, defaults=settings(micro_batch_tokens=2000))
    assert {event.rows for event in lives.said(Validation)} == {6}
    assert [trouble for trouble in lives.said(Trouble) if trouble.what == "evaluation_left_out"] == []
    assert sizes_of(field) == []
    other = Field(tmp_path / "other", tiny_model)
    write_rows(other.paths.validation / "held_out.jsonl", [chat(1, turns=4)])
    lives = learn_all(other, [other.foe("small", 12)], card_of(150), eval_steps=3)
    assert lives.said(Validation) == []
    assert "CUDA out of memory" in next(t for t in lives.said(Trouble) if t.what == "evaluation_left_out").message
    assert lives.outcomes() == {"small": "learned"}


def test_a_quest_that_cannot_be_prepared_for_want_of_memory_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    """D7: the child lives, and the next quest is learned."""
    field = Field(tmp_path, tiny_model)
    foes = [field.foe("huge", 12, profile="native"), field.foe("small", 12)]

    def spoil(trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        taker = trainer._battle._taker
        real = taker._renderer_for

        def renderer_for(profile: str) -> Renderer:
            return TooLarge() if profile == "native" else real(profile)  # type: ignore[return-value]

        taker._renderer_for = renderer_for
        return loss

    lives = learn_all(field, foes, spoil)
    (refused,) = lives.said(Refused)
    assert refused.quest_id == "huge"
    assert "memory does not suffice to prepare it (Unable to allocate 9.31 GiB)" in refused.errors[0].message
    assert lives.outcomes() == {"small": "learned"}


class TooLarge:
    """Renders as numpy does when there is no memory."""

    def render_many(self, *args: object, **kwargs: object) -> None:
        raise MemoryError("Unable to allocate 9.31 GiB")


def test_a_child_under_a_real_memory_limit_learns_its_quest(tmp_path: Path, tiny_model: Path) -> None:
    """D7: with `RLIMIT_AS`, the allocator of torch itself refuses."""
    field = Field(tmp_path, tiny_model)
    warm = field.foe("warm", 4)
    # How much of its address space the allocator has in reserve depends on the machine.
    margins = {60 << 20: "wide", 30 << 20: "wider", 15 << 20: "widest"}
    for name in margins.values():
        foe = field.foe(name, 192, batch_size=192, gradient_accumulation=1, micro_batch_tokens=100_000)
        write_rows(foe.path, [chat(seed, turns=6) for seed in range(192)])

    async def fight() -> list[str]:
        """What was told of the first of them that was too large."""
        async with field.child() as child:
            await child.until(Ready)
            await child.learn(warm)
            assert child.process.pid is not None
            told: list[str] = []
            for margin, name in margins.items():
                used = psutil.Process(child.process.pid).memory_info().vms
                resource.prlimit(child.process.pid, resource.RLIMIT_AS, (used + margin, resource.RLIM_INFINITY))
                assert (await child.learn(field.foes[name])).outcome == "learned"
                told = [trouble.message for trouble in child.said(Trouble) if trouble.what == "out_of_memory"]
                if told:
                    break
            resource.prlimit(child.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert (await child.stop()).clean
            return told

    told = asyncio.run(fight())
    assert told
    assert all("allocate memory" in message for message in told)
    assert {size.ordinal for size in sizes_of(field)} == {len(field.history.claims)}
    assert field.history.dropped == set()
