"""A realm as its user has it: a base directory and `python realm.py up` in a process of its own.

Whatever a test needs to know it reads where a user does: files, HTTP, the CLI, exit codes. Only processes that
were started from here are ended, known by the handles taken when they were seen as children of our daemon.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import yaml

from arena.journal import JOURNAL_NAME, ClaimEntry, History, read_history
from arena.quests import Quest, read_sidecar
from arena.supervision.position_file import Phase, Position, read_position
from core.instance import InstanceLock
from core.paths import CHECKOUT, LANES, RealmPaths
from core.services import read_services
from core.status_files import read_status
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import write_quest
from tests.replaying import tensor_hashes
from tests.waiting import wait_until

T = TypeVar("T")

START_SECONDS = 60.0
"""A trainer child imports torch in 4 to 8 s alone on two cores, and in much more beside others."""

SPRITE = {
    "title": "Sprite",
    "base_model": "seedling",
    "recipe": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
    },
    "hyperparams": {
        "max_length": 128,
        "batch_size": 8,
        "gradient_accumulation": 1,
        "learning_rate": 0.002,
        "warmup_steps": 10,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "epochs": 1,
        "fp_precision": "fp32",
    },
}
"""The smallest hero: a step takes 5 to 10 ms, so that a quest of a thousand rows lasts a second."""

SETTINGS: dict[str, Any] = {
    "hero": "sprite",
    "inbox": {"settle_seconds": 0.2, "scan_seconds": 0.1},
    # One thread: sums come out bit for bit alike, and several realms share two cores. The tokens of a pass are given,
    # as those that a trainer measures are part of its journal: on a busy machine two realms measure two sizes, and the
    # same files then end in other weights.
    "trainer": {"device": "cpu", "threads": 1, "micro_batch_tokens": 2048, "restart_backoff_seconds": 0.1},
    "services": {"ports": "auto"},
}


class LivingRealm:
    """One base directory and the control process on it."""

    def __init__(self, base: Path, *, nursery: Nursery | None = None, **settings: Any) -> None:
        """`settings` replace whole top-level sections of `SETTINGS`. With a `nursery`, trainers come from there."""
        self.paths = RealmPaths(base)
        self.paths.create()
        own = ["--base-dir", str(base)]
        self._realm = nursery.command(*own) if nursery else [sys.executable, str(CHECKOUT / "realm.py"), *own]
        self.command = [*self._realm, "up"]
        """How it is brought up."""
        self._process: subprocess.Popen[bytes] | None = None
        self._last_event_before = 0
        self.seen: set[psutil.Process] = set()
        """Every child of our daemons that was ever seen, also those that have ended."""
        self._terminal = base / "terminal.txt"
        # One for all requests: making a client takes longer than the request.
        self._client = httpx.Client(timeout=20.0)
        heroes = self.paths.configs / "heroes"
        heroes.mkdir(exist_ok=True)
        (heroes / "sprite.yaml").write_text(yaml.safe_dump(SPRITE))
        self.paths.config_file.write_text(yaml.safe_dump({**SETTINGS, **settings}))

    # --- life ------------------------------------------------------------------------------------------------

    def up(self, *, awake: bool = True, **environment: str) -> None:
        """Start `realm up`; returns once it serves and, with `awake`, its trainer has loaded the hero."""
        self.launch(**environment)
        self.wait(lambda: self.services(), "the sites", START_SECONDS)
        if awake:
            self.wait(lambda: self.event_since_up("trainer_ready"), "a trainer that is ready", START_SECONDS)

    def launch(self, **environment: str) -> None:
        """Start `realm up` and wait for nothing."""
        assert self._process is None, "this realm is up already"
        self._last_event_before = max((event["id"] for event in self.events()), default=0)
        with self._terminal.open("ab") as terminal:
            self._process = subprocess.Popen(
                self.command, cwd=CHECKOUT, env=os.environ | environment,
                stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process is not None, "this realm is not up"
        return self._process.pid

    def trainer(self) -> psutil.Process | None:
        """The trainer child, when there is one."""
        return next((child for child in self._children() if "arena.trainer" in child.cmdline()), None)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = START_SECONDS) -> int:
        """End the realm as Ctrl-C (SIGINT) or a service manager (SIGTERM) does; returns its exit code."""
        self.signal(number)
        return self.wait_for_end(timeout)

    def signal(self, number: signal.Signals) -> None:
        """Signal the control process and its process group, as a terminal does it."""
        self._children()
        os.killpg(self.pid, number)

    def wait_for_end(self, timeout: float = START_SECONDS) -> int:
        """Wait until `realm up` ends by itself; returns its exit code."""
        assert self._process is not None
        self._children()
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"realm up did not end within {timeout} s\n{self.story()}") from None
        self._process = None
        return code

    def kill9_trainer(self) -> int:
        """SIGKILL to the trainer child; returns its pid."""
        trainer = self.trainer()
        assert trainer is not None, f"there is no trainer to kill\n{self.story()}"
        trainer.kill()
        return trainer.pid

    def kill9_daemon(self) -> None:
        """SIGKILL to the control process alone; returns when the children it left behind have ended by themselves."""
        assert self._process is not None
        children = self._children()
        self._process.kill()
        self._process.wait()
        self._process = None
        _, alive = psutil.wait_procs(children, timeout=START_SECONDS)
        assert not alive, f"these outlived their daemon: {alive}\n{self.story()}"

    @contextmanager
    def trainer_held(self) -> Iterator[None]:
        """Stop the trainer (SIGSTOP) meanwhile: what is wished for in the block meets the quest that trains now.

        Without it a quest had to last as long as a verb takes to start on a busy machine.
        """
        trainer = self.trainer()
        assert trainer is not None, f"there is no trainer to hold\n{self.story()}"
        trainer.suspend()
        try:
            yield
        finally:
            trainer.resume()

    def close(self) -> None:
        """End whatever was started from here and still lives; never fails."""
        if self._process is not None:
            self._children()
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._children()
            self._process.kill()
            self._process.wait()
            self._process = None
        self._client.close()
        # In an hour the numbers of processes begin anew: that of one that has ended long ago may be a thread's by now.
        _, alive = psutil.wait_procs([each for each in self.seen if each.is_running()], timeout=10)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _children(self) -> list[psutil.Process]:
        """Living children of the daemon; remembered, so that they can be cleared away after it."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children()
            self.seen.update(children)
            return [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        return []

    # --- waiting ---------------------------------------------------------------------------------------------

    def wait(self, predicate: Callable[[], T], what: str, timeout: float = 60.0) -> T:
        """Wait until `predicate` is truthy and return its value; fails at once when the realm has ended."""
        found: list[T] = []

        def look() -> bool:
            value = predicate()
            if value:
                found.append(value)
            elif self._process is not None and self._process.poll() is not None:
                self._on_end(self._process.returncode, what)
            return bool(value)

        try:
            # Not more often: the processes that are waited for share two cores with the one that looks.
            wait_until(look, timeout=timeout, message=f"not seen: {what}", every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None
        return found[0]

    def _on_end(self, code: int, awaited: str) -> None:
        """The control process has ended while something was waited for."""
        raise AssertionError(f"the realm ended with {code}, before {awaited}")

    def wait_until_done(self, quests: int, timeout: float = 90.0) -> None:
        """Wait until so many quests are learned and sealed, and nothing is left to do."""
        open_lanes = [lane for lane in LANES if lane not in ("failed", "recently_completed")]

        def done() -> bool:
            return len(self.lane("recently_completed")) >= quests and not any(self.lane(lane) for lane in open_lanes)

        self.wait(done, f"{quests} completed quests", timeout)

    def wait_in_quest(self, ordinal: int, at_least: int = 10) -> Position:
        """Wait until the trainer is `at_least` steps deep in the quest of this ordinal."""

        def inside() -> Position | None:
            here = self.position()
            # What an ended trainer wrote last is not where the present one stands.
            if here is None or here.phase not in (Phase.STEPPING, Phase.WAITING):
                return None
            return here if here.ordinal == ordinal and here.quest_step >= at_least else None

        found = self.wait(inside, f"step {at_least} of quest {ordinal}")
        assert found is not None
        return found

    def story(self) -> str:
        """What this realm has told so far, for a failing test."""
        terminal = self._terminal.read_text(errors="replace").splitlines()[-25:] if self._terminal.exists() else []
        output = self.paths.logs / "trainer-output.log"
        said = output.read_text(errors="replace").splitlines()[-10:] if output.exists() else []
        lanes = {lane: [path.name for path in self.lane(lane)] for lane in LANES}
        return "\n".join(
            ["--- terminal", *terminal, "--- trainer", *said, f"--- lanes {lanes}", f"--- {self.position()}"]
        )

    # --- what can be seen --------------------------------------------------------------------------------------

    def services(self) -> dict[str, Any]:
        """`status/services.json`, when the present daemon wrote it."""
        entries = read_services(self.paths)
        return entries if all(entry["pid"] == self.pid for entry in entries.values()) else {}

    def http(self, method: str, path: str, body: Any = None, *, site: str = "vault") -> httpx.Response:
        """Ask one of the sites."""
        url = read_services(self.paths)[site]["url"]
        return self._client.request(method, url + path, json=body)

    def cli(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `realm ARGUMENTS` on this base directory."""
        command = [*self._realm, *arguments]
        return subprocess.run(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )

    def cli_json(self, *arguments: str) -> Any:
        """The JSON that a verb answers with; the verb must succeed."""
        answer = self.cli("--json", *arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return json.loads(answer.stdout)

    def status(self) -> dict[str, Any]:
        """`status/training_status.json` as every reader must see it."""
        return read_status(self.paths.training_status, now=datetime.now(UTC))

    def position(self) -> Position | None:
        """Where the trainer stands at this moment."""
        return read_position(self.paths.current_model / ".position")

    def is_waiting(self) -> bool:
        """True while the trainer makes no step."""
        here = self.position()
        return here is not None and here.phase is Phase.WAITING

    def lane(self, name: str) -> list[Path]:
        """Data files in a lane, oldest first."""
        files = [path for path in self.paths.lane(name).glob("*.jsonl") if not path.name.startswith(".")]
        return sorted(files, key=lambda path: path.name)

    def quest(self, stem: str) -> Quest | None:
        """The quest that was dropped as `{stem}.jsonl`, in whatever lane it lies."""
        for name in LANES:
            for path in self.lane(name):
                record = read_sidecar(path)
                if record is not None and record.original_name == f"{stem}.jsonl":
                    return Quest(path, record)
        return None

    def lane_of(self, stem: str) -> str | None:
        """The lane in which the quest dropped as `{stem}.jsonl` lies."""
        quest = self.quest(stem)
        return quest.lane if quest else None

    def history(self) -> History:
        """The journal."""
        return read_history(self.paths.current_model / JOURNAL_NAME)

    def claims(self) -> list[ClaimEntry]:
        """Claims of the journal, in order."""
        history = self.history()
        return [history.claims[ordinal] for ordinal in sorted(history.claims)]

    def taught(self) -> list[tuple[str, str, int]]:
        """What the journal says the hero has learned, free of ids and times: (name, outcome, rows) by ordinal."""
        history = self.history()
        return [
            (claim.name, history.outcome_of(ordinal), history.rows_learned(ordinal))
            for ordinal, claim in sorted(history.claims.items())
        ]

    def events(self, kind: str = "%", *, after: int = 0) -> list[dict[str, Any]]:
        """Events of the saga with an id above `after`, oldest first; `[]` before there is one."""
        if not self.paths.saga_db.exists():
            return []
        told = "SELECT id, at, kind, message, data FROM events WHERE id > ? AND kind LIKE ? ORDER BY id"
        with (
            closing(sqlite3.connect(f"file:{self.paths.saga_db}?mode=ro", uri=True, timeout=10)) as saga,
            suppress(sqlite3.OperationalError),  # the daemon is making the tables
        ):
            return [
                {"id": number, "at": at, "kind": what, "message": message, "data": json.loads(data or "{}")}
                for number, at, what, message, data in saga.execute(told, (after, kind))
            ]
        return []

    def event_since_up(self, kind: str) -> dict[str, Any] | None:
        """The newest event of this kind since the realm was last brought up."""
        news = self.events(kind, after=self._last_event_before)
        return news[-1] if news else None

    def latest_in_ledger(self) -> dict[str, Any]:
        """The newest checkpoint as `/api/ledger` tells it."""
        entry: dict[str, Any] = self.http("GET", "/api/ledger").json()["checkpoints"][0]
        return entry

    def checkpoints(self) -> list[Path]:
        """Checkpoint directories, by step."""
        found = self.paths.current_model.glob("checkpoint-*")
        return sorted(found, key=lambda path: int(path.name.split("-")[1]))

    def weights(self) -> tuple[int, dict[str, str]]:
        """Step of the newest checkpoint and the hash of each of its tensors."""
        newest = self.checkpoints()[-1]
        return int(newest.name.split("-")[1]), tensor_hashes(newest)

    # --- what a user does --------------------------------------------------------------------------------------

    def drop(self, name: str, rows: int | Iterable[str], *, priority: str | None = None, start: int = 0) -> Path:
        """Put `{name}.jsonl` into the inbox, or into one of its priority folders."""
        folder = self.paths.inbox / priority if priority else self.paths.inbox
        return write_quest(folder / f"{name}.jsonl", rows if isinstance(rows, int) else list(rows), start)

    def wish(self, action: str, reason: str = "a test wishes it") -> None:
        """Write a control file by hand."""
        (self.paths.control / f".{action}").write_text(f"{reason}\n")

    def wish_by(self, way: str, action: str) -> None:
        """Wish for `action` by `file`, `cli` or `http`."""
        if way == "file":
            self.wish(action)
        elif way == "cli":
            said = self.cli(action, "--reason", "a test wishes it")
            assert said.returncode == 0, said.stderr
        else:
            answer = self.http("POST", "/api/training/control", {"action": action, "reason": "a test wishes it"})
            assert answer.status_code == 200, answer.text
            assert answer.json()["success"] is True

    def holder(self) -> dict[str, Any] | None:
        """Who holds the base directory."""
        return InstanceLock.holder(self.paths.lock)
