"""The oracle of law 3: one undisturbed life of a trainer, from the base model, fed a journal that was fought over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from blake3 import blake3
from safetensors import safe_open

from arena.command.beginning import begin_of
from arena.journal import JOURNAL_NAME
from arena.protocol import Begin, QuestEnded, Ready, Stop
from arena.quest_board import QuestBoard
from arena.start_check import read_setup
from arena.supervision.trainer_process import TrainerProcess
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore

PATIENCE = 300.0
"""Seconds to wait for the end of one quest."""


async def replay(base: Path, journal: bytes, begin: Begin) -> Path:
    """Learn in the fresh directory `base` what `journal` tells; returns the one checkpoint, made at its end.

    `begin` says where the data of its quests lie. Fails when the journal is changed by that.
    """
    paths = RealmPaths(base)
    paths.create()
    own = paths.current_model / JOURNAL_NAME
    own.write_bytes(journal)
    process = TrainerProcess(paths)
    await process.start(begin)
    try:
        await _learn_all(process)
    finally:
        await process.end(grace_seconds=0.0)
        death = await process.wait()
    assert death.clean, death.cause
    assert own.read_bytes() == journal
    head = CheckpointStore(paths.current_model).resolve("latest")
    assert head is not None
    return head.path


async def _learn_all(process: TrainerProcess) -> None:
    """Until the trainer has learned all that its journal holds, saved that, and gone."""
    to_learn: list[str] | None = None
    while (event := await asyncio.wait_for(process.next_event(), PATIENCE)) is not None:
        if isinstance(event, Ready):
            assert event.checkpoint is None, "it must start from the base model"
            to_learn = list(event.replay)
        if isinstance(event, QuestEnded) and to_learn is not None:
            assert event.quest_id == to_learn.pop(0)
        if to_learn == []:
            to_learn = None
            await process.send(Stop(reason="all is learned"))


def replay_realm(paths: RealmPaths, base: Path) -> Path:
    """`replay` of a whole realm's journal: its settings, its hero, its quests in whatever lane they lie."""
    setup = read_setup(paths, {})
    begin = begin_of(paths, setup.settings, setup.hero, setup.base_model, QuestBoard(paths), [], None)
    return asyncio.run(replay(base, (paths.current_model / JOURNAL_NAME).read_bytes(), begin))


def tensor_hashes(checkpoint: Path) -> dict[str, str]:
    """The hash of each weight, bit for bit; loads no torch."""
    with safe_open(checkpoint / "model.safetensors", framework="np") as tensors:
        return {name: blake3(tensors.get_tensor(name).tobytes()).hexdigest() for name in tensors.keys()}  # noqa: SIM118 - not a dict
