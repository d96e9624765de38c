"""What a checkpoint costs training: 20 steps with one written in the background, with a blocking one, with none.

    python -m benchmarks.save --rounds 9

The trainer of a realm in this process, with a Qwen3 of 4 million parameters, in a fresh directory. The blocking save is
the plain one: `save_pretrained`, `torch.save` and an fsync of each file. Rounds of all three follow each other, and the
medians of what they add are compared: other work on the machine changes its speed by more than what is to be found out.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from blake3 import blake3
from transformers import TrainerCallback

from arena.protocol import Begin, CheckpointSaved, Claim, QuestSettings, Save, SaveFailed, decode_event, encode
from arena.supervision.position_file import PositionFile
from arena.trainer.engine import BattleTrainer
from arena.trainer.link import DaemonLink
from arena.trainer.loading.seedling import make_seedling
from arena.trainer.orders import Orders
from arena.trainer.summoning import summon
from benchmarks.launching import run_benchmark
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore

RECIPE = {
    "hidden_size": 256, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "intermediate_size": 768, "max_position_embeddings": 1024,
}  # fmt: skip
STEPS = 20
SAVED_AFTER = 3
"""Steps of each twenty, so that the writing is over before the last; a round where it is not does not count."""
WARM_UP_STEPS = 10
UNCOUNTED_STEPS = 3
TARGET = 0.30
KINDS = ("none", "blocking", "background")


class Daemon:
    """The other end of the trainer's socket: claims the one quest, and notes which checkpoints are durable."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.saved: list[CheckpointSaved] = []
        self.failed: list[SaveFailed] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, command: Claim) -> None:
        self._socket.sendall(encode(command) + b"\n")

    def _listen(self) -> None:
        with self._socket.makefile("rb") as stream:
            for line in stream:
                event = decode_event(line)
                if isinstance(event, CheckpointSaved):
                    self.saved.append(event)
                elif isinstance(event, SaveFailed):
                    self.failed.append(event)


class Rounds(TrainerCallback):
    """Times twenty steps of each kind in turn; between them lie steps that nobody counts, until all is written."""

    def __init__(self, rounds: int, trainer: BattleTrainer, orders: Orders, daemon: Daemon, folder: Path) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.durable: list[float] = []
        """Seconds from the snapshot until the checkpoint was durable."""
        self.late = 0
        """Saves in the background that were not durable by the twentieth step."""
        self._left = [kind for _ in range(rounds) for kind in KINDS]
        self._trainer = trainer
        self._orders = orders
        self._daemon = daemon
        self._folder = folder
        self._step = -WARM_UP_STEPS
        self._asked = 0
        self._began = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._step += 1
        if self._step < 0:
            return
        if self._daemon.failed:
            self._orders.stop("a save has failed")
            return
        if self._step == 0:
            if len(self._daemon.saved) < self._asked:
                self._step = -1
                return
            self._tidy()
            self._began = time.perf_counter()
        if not self._left:
            self._orders.stop("all rounds are over")
        elif self._step == SAVED_AFTER and self._left[0] == "background":
            self._asked += 1
            self._orders.save = Save(reason="a benchmark")
        elif self._step == SAVED_AFTER and self._left[0] == "blocking":
            self._save_plainly(self._folder / "plain")
        elif self._step == STEPS:
            self._note(self._left.pop(0), time.perf_counter() - self._began)
            self._step = -UNCOUNTED_STEPS

    def _note(self, kind: str, seconds: float) -> None:
        self.seconds[kind].append(seconds)
        if kind == "background":
            saved = self._daemon.saved[: self._asked]
            self.late += len(saved) < self._asked
            self.durable = [each.seconds for each in saved]

    def _save_plainly(self, folder: Path) -> None:
        optimizer, scheduler = self._trainer.optimizer, self._trainer.lr_scheduler
        if optimizer is None or scheduler is None:
            raise RuntimeError("a save before the first step")
        self._trainer.network.save_pretrained(folder)
        self._trainer.tokenizer.save_pretrained(folder)
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        torch.save(scheduler.state_dict(), folder / "scheduler.pt")
        torch.save({"cpu": torch.get_rng_state(), "python": random.getstate()}, folder / "rng_state.pth")
        self._trainer.state.save_to_json(str(folder / "trainer_state.json"))
        for path in [*folder.iterdir(), folder, folder.parent]:
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)

    def _tidy(self) -> None:
        """Remove what the round before has left, which is no part of a save."""
        shutil.rmtree(self._folder / "plain", ignore_errors=True)
        store = CheckpointStore(self._folder)
        for checkpoint in store.list():
            if checkpoint.name != store.head():
                store.trash(checkpoint.name)
        store.empty_trash()


def main(
    rounds: Annotated[int, typer.Option(help="Measurements of each kind.")] = 9,
    rows: Annotated[int, typer.Option(help="Rows of a step.")] = 8,
) -> None:
    """Print the table; exit code 1 when the target is missed."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = RealmPaths(Path(scratch))
        paths.create()
        settings = QuestSettings(
            learning_rate=1e-4, warmup_steps=1, weight_decay=0.0, batch_size=rows, gradient_accumulation=1,
            epochs=1000, max_length=1024, max_grad_norm=1.0, micro_batch_tokens=4096, seed=1, profile="chatml",
        )  # fmt: skip
        begin = Begin(
            base_model=str(make_seedling(paths.models / "four-million", RECIPE, seed=1)), hero="four-million",
            recipe=None, device="cpu", threads=None, seed=1, fp_precision="fp32", defaults=settings,
            save_steps=1_000_000, eval_steps=1_000_000, eval_rows=1, open_quests=[], withdrawals=[], pause_reason=None,
        )  # fmt: skip
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        battle, trainer = summon(paths, DaemonLink(ours), begin, PositionFile(paths.current_model / ".position"))
        daemon = Daemon(theirs)
        measured = Rounds(rounds, trainer, battle.situation.orders, daemon, paths.current_model)
        trainer.add_callback(measured)
        daemon.send(_quest(paths.base / "quest.jsonl", rows, settings))
        trainer.train()
        if daemon.failed:
            typer.echo(f"A save has failed: {daemon.failed[0].reason}", err=True)
            raise typer.Exit(1)
        parameters = sum(weight.numel() for weight in trainer.network.parameters())
        typer.echo(f"{parameters / 1e6:.1f} million parameters, {torch.get_num_threads()} threads, {rounds} rounds")
        ratio = _show(measured)
        if measured.late:
            typer.echo(f"{measured.late} saves were not over by the last step, and cost more; use more --rows.")
        if ratio > TARGET or measured.late:
            raise typer.Exit(1)


def _quest(path: Path, rows: int, settings: QuestSettings) -> Claim:
    dice = random.Random(1)
    chats = [
        [
            {"role": "user", "content": "add " + " and ".join(str(dice.randrange(1000)) for _ in range(20))},
            {"role": "assistant", "content": " ".join(str(dice.randrange(1000)) for _ in range(20))},
        ]
        for _ in range(rows * 100)
    ]
    path.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return Claim(
        quest_id="q", path=str(path), name=path.name, content_hash=blake3(path.read_bytes()).hexdigest(),
        schema_id="chat_sft_v1", settings=settings,
    )  # fmt: skip


def _show(measured: Rounds) -> float:
    """Print the table; returns what a save in the background costs, in blocking ones."""
    plain = measured.seconds["none"]
    added = {
        kind: statistics.median(each - without for each, without in zip(measured.seconds[kind], plain, strict=True))
        for kind in ("blocking", "background")
    }
    ratio = added["background"] / added["blocking"]
    typer.echo(f"{STEPS} steps without a save      {statistics.median(plain):7.3f} s")
    typer.echo(f"  a blocking save adds      {added['blocking']:7.3f} s")
    typer.echo(f"  a background save adds    {added['background']:7.3f} s; it is durable after "
               f"{statistics.median(measured.durable):.3f} s")  # fmt: skip
    typer.echo(f"  background to blocking    {ratio:7.2f}    (target: {TARGET:.2f} at most)")
    return ratio


if __name__ == "__main__":
    run_benchmark(main)
