"""From the inbox to the board under fire: bursts, deaf watches, full and read-only queues, other file systems."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from arena.doorstep import intake
from arena.doorstep.inbox import Inbox, Scan
from arena.doorstep.inbox_watch import CANARY_NAME, InboxWatch
from arena.doorstep.intake import TOLD_AT_ONCE
from arena.doorstep.pace import BUSY_SHARE, Pace
from arena.lanes.reading import MOVED_FROM
from arena.quest_board import QuestBoard
from core.files import DISK, Files
from core.paths import CHECKOUT, RealmPaths
from tests.acceptance.quest_files import write_quest
from tests.arena.doorstep.one_intake import running_intake, take_everything
from tests.arena.quest_makers import everything_in
from tests.waiting import wait_until_async


def told(paths: RealmPaths, kind: str) -> list[str]:
    """Messages of all events of a kind, in order."""
    with closing(sqlite3.connect(paths.saga_db)) as saga:
        return [row[0] for row in saga.execute("SELECT message FROM events WHERE kind = ? ORDER BY id", (kind,))]


def waiting(paths: RealmPaths, *lanes: str) -> list[str]:
    board = QuestBoard(paths)
    return sorted(quest.name for lane in lanes or ("high", "normal", "low") for quest in board.quests(lane))


async def until_taken(paths: RealmPaths, *names: str) -> None:
    await wait_until_async(lambda: set(names) <= set(waiting(paths)), timeout=30, message=f"{names} on the board")


# --- bursts -----------------------------------------------------------------------------------------------------------


async def test_a_burst_is_taken_in_whole_each_file_once_and_good_ones_apart_from_bad(paths: RealmPaths) -> None:
    """F1: every file of a burst becomes one quest; what is wrong with one does not touch its neighbours."""
    for number in range(60):
        write_quest(paths.inbox / f"{number:03}.jsonl", 2, 10 * number)
    for number in range(0, 60, 10):
        (paths.inbox / f"{number:03}.jsonl").write_text("{oops}\n")
    async with running_intake(paths):
        await wait_until_async(lambda: len(told(paths, "quest_accepted") + told(paths, "quest_rejected")) == 60, 60.0)
    board = QuestBoard(paths)
    accepted, rejected = board.quests("normal"), board.quests("failed")
    assert (len(accepted), len(rejected)) == (54, 6)
    assert len({quest.quest_id for quest in [*accepted, *rejected]}) == 60
    assert all(quest.record.rows == 2 for quest in accepted)
    assert (len(told(paths, "quest_accepted")), len(told(paths, "quest_rejected"))) == (54, 6)
    assert everything_in(paths.inbox) == []
    assert board.sweep(now=datetime.now(UTC) + timedelta(minutes=2)).notes == []


async def test_something_urgent_dropped_amid_a_burst_does_not_wait_for_its_end(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.doorstep.intake.ROUND_SECONDS", 0.0)
    monkeypatch.setattr("arena.doorstep.intake.SCAN_SHARE", 1.0)
    monkeypatch.setattr("arena.doorstep.intake.PORTION_FILES", 2)
    for number in range(40):
        write_quest(paths.inbox / f"{number:03}.jsonl", 1, number)
    async with running_intake(paths):
        await wait_until_async(lambda: waiting(paths), timeout=30)
        write_quest(paths.inbox / "high" / "urgent.jsonl", 1)
        await until_taken(paths, "urgent.jsonl")
        assert len(waiting(paths)) < 41


@pytest.mark.parametrize("in_hurry", [True, False])
async def test_while_a_quest_is_trained_the_intake_rests_more_than_it_works(
    in_hurry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer's steps come first: the control process stays within its share of a CPU."""
    pace, rests = Pace(lambda: in_hurry), []
    sleep = asyncio.sleep

    async def resting(seconds: float) -> None:
        rests.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr("arena.doorstep.pace.asyncio.sleep", resting)
    await pace.rest()
    begun, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.02:
        pass
    await pace.rest()
    # Work that others kept from the processor may have taken as long as work and rest together.
    assert rests == [] if in_hurry else time.monotonic() - begun >= 0.5 * 0.02 / BUSY_SHARE


async def test_a_file_that_the_scribe_dies_of_keeps_nobody_back(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C8: it is not let in either; it stays, and is told."""
    monkeypatch.setattr("arena.doorstep.intake.JUDGE", "tests_cannot_be_jobs:nothing")
    write_quest(paths.inbox / "a.jsonl", 1)
    write_quest(paths.inbox / "b.jsonl", 1)
    async with running_intake(paths):
        await wait_until_async(lambda: len(told(paths, "inbox_strange")) == 2)
        monkeypatch.setattr("arena.doorstep.intake.JUDGE", "arena.gatekeepers.judging:judge_files")
        write_quest(paths.inbox / "c.jsonl", 1)
        await until_taken(paths, "a.jsonl", "b.jsonl", "c.jsonl")
    assert len(told(paths, "inbox_strange")) == 2


async def test_an_option_that_cannot_be_is_ignored_with_a_word(paths: RealmPaths) -> None:
    write_quest(paths.inbox / "x.jsonl", 1)
    (paths.inbox / "x.jsonl.meta.json").write_text('{"epochs": "3", "profile": "chatml", "system_prompt": null}')
    async with running_intake(paths):
        await wait_until_async(lambda: told(paths, "quest_accepted"))
    remark = "epochs is '3' and not a whole number from 1 to 1000: it is ignored"
    assert told(paths, "quest_accepted")[0].endswith(f"(normal, 1 row); {remark}")
    (quest,) = QuestBoard(paths).quests("normal")
    assert (quest.record.epochs, quest.record.profile) == (None, "chatml")
    assert quest.record.lineage["ignored_options"] == [remark]


async def test_of_a_folder_full_of_pictures_a_few_are_named_and_the_rest_is_counted(paths: RealmPaths) -> None:
    """Law 9, C7: reported, but not with ten thousand events."""
    for number in range(TOLD_AT_ONCE + 30):
        (paths.inbox / f"{number}.png").touch()
    write_quest(paths.inbox / "good.jsonl", 1)
    async with running_intake(paths):
        await until_taken(paths, "good.jsonl")
    messages = told(paths, "inbox_strange")
    assert len(messages) == TOLD_AT_ONCE + 1
    assert messages[-1].startswith("30 more files")


# watchdog warns in a thread of its own when a folder comes and goes quickly; files are found all the same.
@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_dropped_trees_are_flattened_and_their_empty_folders_go(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec 1.1, InboxFlattener; C1: names that meet in the lane keep apart."""
    monkeypatch.setattr("arena.doorstep.dropped_trees.EMPTY_SECONDS", 0.1)
    (paths.inbox / "standing").mkdir()
    async with running_intake(paths) as intake:
        await wait_until_async(lambda: intake.watch is not None and intake.watch._watch)
        for place in ("math/a.jsonl", "math/deep/a.jsonl", "math/deep/er/a.jsonl", "high/chess/a.jsonl"):
            target = paths.inbox / place
            target.parent.mkdir(parents=True, exist_ok=True)
            write_quest(target, 1)
        await until_taken(paths, "a_math.jsonl", "a_math_2.jsonl", "a_math_3.jsonl", "a_chess.jsonl")
        folders = {"high", "normal", "low", "standing"}
        await wait_until_async(lambda: set(os.listdir(paths.inbox)) == folders, message="the emptied folders are gone")
        assert os.listdir(paths.inbox / "high") == []


# --- watchdog is dispensable ------------------------------------------------------------------------------------------


async def test_files_are_taken_when_the_observer_was_killed(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """PEERS, inbox truth: events are hints, the scan is the truth; and the keeper makes a new watch."""
    watches: list[InboxWatch] = []
    start = InboxWatch.start

    def start_and_remember(watch: InboxWatch) -> str | None:
        watches.append(watch)
        return start(watch)

    monkeypatch.setattr(InboxWatch, "start", start_and_remember)
    async with running_intake(paths):
        await wait_until_async(lambda: watches and watches[0].is_alive())
        watches[0].stop()
        write_quest(paths.inbox / "x.jsonl", 1)
        await until_taken(paths, "x.jsonl")
        await wait_until_async(lambda: len(watches) == 2 and watches[1].is_alive(), message="a new watch")
        write_quest(paths.inbox / "y.jsonl", 1)
        await until_taken(paths, "y.jsonl")
    assert told(paths, "inbox_watch_lost") == []


async def test_files_are_taken_when_the_observer_hears_nothing(
    paths: RealmPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch is on a folder where nothing happens; once that is found out, it is told, and told once."""
    monkeypatch.setattr("arena.doorstep.watch_keeper.QUIET_SECONDS", 0.05)
    monkeypatch.setattr("arena.doorstep.watch_keeper.ANSWER_SECONDS", 0.05)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("arena.doorstep.intake.InboxWatch", lambda root, hint: InboxWatch(elsewhere, hint))
    async with running_intake(paths):
        write_quest(paths.inbox / "x.jsonl", 1)
        await until_taken(paths, "x.jsonl")
        await wait_until_async(lambda: told(paths, "inbox_watch_lost"))
        write_quest(paths.inbox / "y.jsonl", 1)
        await until_taken(paths, "y.jsonl")
    assert len(told(paths, "inbox_watch_lost")) == 1
    assert not (paths.inbox / CANARY_NAME).exists()


async def test_a_hint_brings_the_next_scan_forward(paths: RealmPaths) -> None:
    async with running_intake(paths, scan_seconds=600.0) as intake:
        await wait_until_async(lambda: intake.watch is not None and intake.watch._watch)
        await wait_until_async(lambda: intake._scan, message="the first scan is over")
        write_quest(paths.inbox / "x.jsonl", 1)
        await until_taken(paths, "x.jsonl")


async def test_a_quest_is_told_of_before_what_its_move_leaves_behind_is_tidied_up(paths: RealmPaths) -> None:
    """A trainer may wait for it, and the disk takes as long for the rest as for the move."""
    seen: list[object] = []
    write_quest(paths.inbox / "x.jsonl", 2)
    (paths.inbox / "x.jsonl.meta.json").write_text('{"epochs": 2}')
    options = {
        "on_admitted": lambda: seen.append(everything_in(paths.inbox)),
        "count_verdicts": lambda judged, now: seen.append([record.epochs for record, _ in judged]),
    }
    async with running_intake(paths, **options):
        await wait_until_async(lambda: len(seen) == 2 and not everything_in(paths.inbox), timeout=30)
    assert seen == [["x.jsonl.meta.json"], [2]]
    assert MOVED_FROM not in (paths.lane("normal") / "x.jsonl.meta.json").read_text()


async def test_the_mark_of_a_move_goes_soon_however_long_the_intake_rests(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: after a look that took long, marks stayed for half a minute, and so did what a kill then makes of them."""
    monkeypatch.setattr(intake, "SCAN_SHARE", 1e-9)
    sidecar = paths.lane("normal") / "x.jsonl.meta.json"
    write_quest(paths.inbox / "x.jsonl", 2)
    async with running_intake(paths):
        await wait_until_async(lambda: sidecar.exists() and MOVED_FROM not in sidecar.read_text(), timeout=20)


async def test_the_scribe_is_awake_before_the_file_has_settled(paths: RealmPaths) -> None:
    """Starting it takes longer than all else between settling and the first step."""
    async with running_intake(paths, settle_seconds=600.0) as intake:
        await wait_until_async(lambda: intake._scan, message="the first scan is over")
        assert intake._scribe.worker_pid is None, "an idle realm has no scribe"
        write_quest(paths.inbox / "x.jsonl", 1)
        await wait_until_async(lambda: intake._scribe.worker_pid, message="a scribe")


# --- a queue that takes nothing ---------------------------------------------------------------------------------------


class Refusing(Files):
    """A disk that refuses everything below one folder until it is told otherwise."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        self.refuses = True
        self.tries = 0

    def _ask(self, *paths: Path) -> None:
        if self.refuses and any(path.is_relative_to(self.folder) for path in paths):
            self.tries += 1
            raise OSError(self.number, os.strerror(self.number), str(paths[-1]))

    def replace(self, source: Path, target: Path) -> None:
        self._ask(source, target)
        super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._ask(source, target)
        super().link(source, target)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
async def test_a_queue_that_takes_nothing_keeps_files_in_the_inbox_until_it_does(
    paths: RealmPaths, number: int
) -> None:
    """A23, A28: no attempts are burnt, one event tells, and it goes on by itself. Nothing is tried in a busy loop."""
    files = Refusing(paths.queue, number)
    names = [f"{number}.jsonl" for number in range(40)]
    for name in names:
        write_quest(paths.inbox / name, 1)
    async with running_intake(paths, files=files, retry_seconds=0.2):
        await wait_until_async(lambda: told(paths, "inbox_blocked"))
        begun, before = time.monotonic(), files.tries
        await wait_until_async(lambda: files.tries >= before + 48, message="it is tried again")
        # One portion of 16 files per pause.
        assert files.tries - before <= 16 * ((time.monotonic() - begun) / 0.2 + 1)
        assert everything_in(paths.inbox) == sorted(names)
        assert not [path for path in everything_in(paths.queue) if path.endswith((".jsonl", ".meta.json"))]
        assert told(paths, "inbox_strange") == []
        files.refuses = False
        await until_taken(paths, *names)
        await wait_until_async(lambda: told(paths, "inbox_goes_on"))
    assert (len(told(paths, "inbox_blocked")), len(told(paths, "inbox_goes_on"))) == (1, 1)
    assert all(quest.record.attempts == 0 for quest in QuestBoard(paths).quests("normal"))


@pytest.fixture
def small_disk(paths: RealmPaths) -> Iterator[Path | None]:
    """A real file system of 256 KB at `queue/`; None where this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(paths.queue)]
    mounted = subprocess.run(command, check=False, capture_output=True, timeout=10).returncode == 0
    paths.create()
    yield paths.queue if mounted else None
    if mounted:
        subprocess.run(["umount", str(paths.queue)], check=True, timeout=10)


def fill_up(filler: Path) -> None:
    with suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)


async def test_a_queue_on_a_small_disk_of_its_own_fills_up_and_empties_again(
    paths: RealmPaths, small_disk: Path | None
) -> None:
    """The real ENOSPC of a real disk, and moves between two file systems: copy, sync, claim the name, unlink."""
    refusing = Refusing(paths.queue, errno.ENOSPC)
    files = DISK if small_disk else refusing
    filler = paths.queue / "filler"
    if small_disk:
        assert paths.queue.stat().st_dev != paths.inbox.stat().st_dev
        fill_up(filler)
    contents: Counter[str] = Counter()
    for number in range(10):
        contents[write_quest(paths.inbox / f"{number}.jsonl", 3, number).read_text()] += 1
    async with running_intake(paths, files=files):
        await wait_until_async(lambda: told(paths, "inbox_blocked"))
        assert len(list(paths.inbox.glob("*.jsonl"))) == 10
        assert QuestBoard(paths).counts()["total_queued"] == 0
        refusing.refuses = False
        filler.unlink(missing_ok=True)
        await until_taken(paths, *[f"{number}.jsonl" for number in range(10)])
    assert Counter(quest.path.read_text() for quest in QuestBoard(paths).quests("normal")) == contents
    assert everything_in(paths.inbox) == []


async def test_one_file_that_does_not_fit_lets_smaller_ones_pass_and_is_told_once(paths: RealmPaths) -> None:
    class NoBigOnes(Files):
        tries = 0

        def link(self, source: Path, target: Path) -> None:
            if "big" in target.name:
                self.tries += 1
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            super().link(source, target)

    write_quest(paths.inbox / "big.jsonl", 1)
    files = NoBigOnes()
    async with running_intake(paths, files=files, retry_seconds=0.02):
        await wait_until_async(lambda: told(paths, "inbox_blocked"))
        for number in range(3):
            write_quest(paths.inbox / f"{number}.jsonl", 1)
            await until_taken(paths, f"{number}.jsonl")
        await wait_until_async(lambda: told(paths, "inbox_strange"))
        before = files.tries
        await wait_until_async(lambda: files.tries > before + 3, message="it is tried again")
    assert len(told(paths, "inbox_blocked")) == 1
    assert len(told(paths, "inbox_strange")) == 1
    assert (paths.inbox / "big.jsonl").exists()


async def test_a_single_scan_that_took_long_makes_nobody_wait(paths: RealmPaths) -> None:
    """A collection of garbage or a stolen core in the middle of one scan made the intake deaf for half a minute."""

    class SlowOnce(Inbox):
        scans = 0

        def scan(self, now: float) -> Scan:
            self.scans += 1
            until = time.thread_time() + (0.2 if self.scans == 3 else 0.0)
            while time.thread_time() < until:
                pass
            return super().scan(now)

    inbox = SlowOnce(paths.inbox, 0.0)
    async with running_intake(paths, inbox=inbox):
        await wait_until_async(lambda: inbox.scans >= 10)


async def test_a_saga_that_cannot_be_written_holds_up_no_file(
    paths: RealmPaths, caplog: pytest.LogCaptureFixture
) -> None:
    """B30: events that cannot be kept end neither the intake nor the training."""
    async with running_intake(paths) as intake:
        intake._saga.db.close()
        write_quest(paths.inbox / "x.jsonl", 1)
        (paths.inbox / "strange.csv").touch()
        await until_taken(paths, "x.jsonl")
    assert "events are not in the saga" in caplog.text


# --- an inbox on another file system ----------------------------------------------------------------------------------


@pytest.fixture
def shared_memory() -> Iterator[Path]:
    """A folder on another file system than pytest's: /dev/shm, which every Linux has."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="realm-test-") as name:
        yield Path(name)


@pytest.fixture
def distant_inbox(paths: RealmPaths, shared_memory: Path) -> Path:
    """`inbox/` is a link to a folder on another file system."""
    for folder in paths.inbox.iterdir():
        folder.rmdir()
    paths.inbox.rmdir()
    paths.inbox.symlink_to(shared_memory)
    paths.create()
    assert paths.inbox.stat().st_dev != paths.queue.stat().st_dev
    return shared_memory


async def test_an_inbox_on_another_file_system_is_emptied_all_the_same(paths: RealmPaths, distant_inbox: Path) -> None:
    """Law 1: copied, synced, named with O_EXCL, then unlinked; sidecars, sub-folders and hints work as ever."""
    async with running_intake(paths, scan_seconds=600.0) as intake:
        await wait_until_async(lambda: intake.watch is not None and intake.watch._watch)
        (distant_inbox / "high" / "x.jsonl.meta.json").write_text('{"generator_id": "a"}')
        source = write_quest(distant_inbox / "high" / ".x.jsonl", 3)
        content, times = source.read_text(), source.stat()
        source.rename(source.with_name("x.jsonl"))
        await until_taken(paths, "x.jsonl")
    (quest,) = QuestBoard(paths).quests("high")
    assert (quest.path.read_text(), quest.record.lineage["generator_id"]) == (content, "a")
    assert quest.path.stat().st_mtime_ns == times.st_mtime_ns, "the order of claims is that of the drops"
    assert everything_in(distant_inbox) == []
    assert QuestBoard(paths).sweep(now=datetime.now(UTC) + timedelta(minutes=2)).notes == []


KILLED_AT = ("move.sidecar:2", "copy.written", "copy.claimed:2", "move.linked:3", "move.unlinked")


@pytest.mark.parametrize("point", KILLED_AT)
async def test_a_kill_amid_moves_from_another_file_system_loses_and_doubles_nothing(
    paths: RealmPaths, distant_inbox: Path, point: str
) -> None:
    """Law 1: SIGKILL between any two steps of a copy; the next start finishes or undoes it."""
    contents = Counter(write_quest(distant_inbox / f"{number}.jsonl", 2, number).read_text() for number in range(4))
    command = [sys.executable, "-m", "tests.arena.doorstep.one_intake", str(paths.base)]
    environment = os.environ | {"REALM_CRASH_AT": point}
    killed = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, env=environment)
    assert await killed.wait() == -signal.SIGKILL
    await take_everything(paths)
    QuestBoard(paths).sweep(now=datetime.now(UTC) + timedelta(minutes=2))
    quests = QuestBoard(paths).quests("normal")
    assert Counter(quest.path.read_text() for quest in quests) == contents
    assert len({quest.quest_id for quest in quests}) == 4
    assert everything_in(distant_inbox) == []
    assert len(everything_in(paths.lane("normal"))) == 8
