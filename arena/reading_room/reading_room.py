"""Answers what pages ask about quests, and takes files from them (`arena.reading_room.routes`).

Lanes are looked at in threads; files are parsed, rendered and measured in scribes of its own, which start on demand: no
page waits behind the gates of the inbox, and they not behind a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from arena.doorstep.inbox_report import look_into_inbox
from arena.gatekeepers.measures.yardstick import Yardstick, is_at_hand
from arena.quest_board import QuestBoard
from arena.quests import NAMELESS, QuestRecord, dropped_options
from arena.reading_room.ended import Ended, EndedQuests, Ending, ended_at
from arena.reading_room.lane_pages import LanePage, Shown, likely_measured, page_of
from arena.reading_room.pace import Pace, Schedule, left_of, tokens_per_byte
from arena.reading_room.reasons import Why, why_nothing_goes_on
from arena.reading_room.stories import must_find, story_of
from arena.reading_room.telling import Light, as_text, quest_told
from arena.reading_room.uploading import Incoming, Uploads, checked_name
from arena.rowbook import SUFFIX
from arena.telling.live_report import LiveReport
from core.checkpoint_ledger import CheckpointLedger
from core.errors import NotFound, RealmError, Unavailable
from core.paths import PRIORITIES, RealmPaths
from core.saga import Saga
from core.scribe import PROMPT_COMMAND, Scribe

OPEN_LANES = ("processing", "awaiting_seal", *PRIORITIES)
ROWS = "arena.reading_room.row_looking:rows_shown"
NUMBERS = "arena.reading_room.row_looking:numbers_of"
INSPECT = "arena.gatekeepers.gate:inspect_file"
JUDGE_UNPACKED = "arena.reading_room.row_looking:judge_unpacked"
ROWS_SECONDS = 60.0
"""For one page of rows; far behind in a file of gigabytes, it may not be enough."""
LOOK_SECONDS = 600.0
FINDING_KEYS = ("errors", "total_errors", "warnings", "total_warnings")


@dataclass(frozen=True)
class Surroundings:
    """What the room asks the daemon."""

    yardstick_for: Callable[[QuestRecord], Yardstick]
    settings_of: Callable[[QuestRecord], tuple[int, int]]
    """Epochs and rows of a step; may raise `RealmError`."""
    proof_of: Callable[[str], dict[str, Any] | None]
    troubles: Callable[[], list[str | None]]
    """Why nothing goes on, the weightiest first; None where it does."""
    inbox: Callable[[], dict[str, Any]]
    gates_are_quick: Callable[[], bool]


class ReadingRoom:
    """One per daemon; `close` it before the event loop ends."""

    def __init__(
        self,
        board: QuestBoard,
        report: LiveReport,
        saga: Saga,
        ledger: CheckpointLedger,
        uploads: Uploads,
        around: Surroundings,
        *,
        make_scribe: Callable[[], Scribe] = lambda: Scribe(command=PROMPT_COMMAND),
    ) -> None:
        self._board = board
        self._report = report
        self._saga = saga
        self._ledger = ledger
        self._uploads = uploads
        self._around = around
        self._ended = EndedQuests(board, saga)
        self._for_rows, self._for_files = make_scribe(), make_scribe()

    @property
    def _paths(self) -> RealmPaths:
        return self._board.paths

    async def close(self) -> None:
        await asyncio.gather(self._for_rows.close(), self._for_files.close())

    # --- the board -------------------------------------------------------------------------------------------

    async def board(self, limit: int) -> dict[str, Any]:
        """The beginning of each lane that is not over, and what holds them up."""
        return await asyncio.to_thread(self._board_now, limit)

    async def listed(self, lane: str | None, offset: int, limit: int) -> dict[str, Any]:
        """A part of one lane, or of all that are not over, in the order in which they are learned."""
        return await asyncio.to_thread(self._listed_now, lane, offset, limit)

    async def history(self, ending: Ending | None, offset: int, limit: int) -> dict[str, Any]:
        """A part of what is over, newest first."""
        return await asyncio.to_thread(self._history_now, ending, offset, limit)

    def _board_now(self, limit: int) -> dict[str, Any]:
        pages = self._board.look(lambda lanes: [page_of(lanes, lane, 0, limit) for lane in OPEN_LANES])
        light = self._light()
        schedule = Schedule(light.pace)
        return {
            "timestamp": _now(),
            "held": light.held.to_json() if light.held is not None else None,
            "tokens_per_second": light.pace.tokens_per_second,
            "lanes": {page.lane: _page_told(page, light, schedule) for page in pages},
            "inbox": self._inbox(),
            "upload_bytes": self._uploads.most_bytes,
        }

    def _listed_now(self, lane: str | None, offset: int, limit: int) -> dict[str, Any]:
        chosen = OPEN_LANES if lane is None else (lane,)
        shown: list[Shown] = []
        total = 0
        for each in chosen:
            start, room = max(0, offset - total), limit - len(shown)
            page = self._board.look(partial(page_of, lane=each, offset=start, limit=room))
            shown += page.shown
            total += page.total
        light = self._light()
        schedule = Schedule(light.pace)
        return {"total": total, "offset": offset, "quests": [quest_told(each, light, schedule) for each in shown]}

    def _history_now(self, ending: Ending | None, offset: int, limit: int) -> dict[str, Any]:
        page = self._ended.page(ending, offset, limit)
        light = self._light()
        entries = [_ended_told(ended, shown, light) for ended, shown in page.entries]
        return {"total": page.total, "totals": page.totals, "offset": offset, "quests": entries}

    def _light(self) -> Light:
        report, around = self._report, self._around
        epochs: int | None
        try:
            epochs, rows_per_step = around.settings_of(NAMELESS)
        except RealmError:  # settings that cannot be used hold up claims, where it is told
            epochs, rows_per_step = None, 0
        measured, is_busy = self._board.look(lambda lanes: (likely_measured(lanes), bool(lanes.files("processing"))))
        speed = report.tokens_per_second
        left = left_of(report.quest, measured, speed) if report.quest is not None or is_busy else 0.0
        pace = Pace(speed, tokens_per_byte(measured, around.proof_of), epochs, left)
        held = self._held()
        running = report.quest.file if report.quest is not None else None
        return Light(pace, held, running, around.proof_of, rows_per_step or None)

    def _held(self) -> Why | None:
        return why_nothing_goes_on(self._report.state, self._report.reason, self._around.troubles())

    def _inbox(self) -> dict[str, Any]:
        told = self._around.inbox()
        if told["left_lying"] is None:  # nobody has looked yet
            told = look_into_inbox(self._paths.inbox)
        return {**told, "named": [dict(each) for each in told["named"]]}

    # --- one quest -------------------------------------------------------------------------------------------

    async def story(self, name: str) -> dict[str, Any]:
        """All that is known of one quest; raises `NotFound`."""
        return await asyncio.to_thread(self._story_now, name)

    def _story_now(self, name: str) -> dict[str, Any]:
        shown = must_find(self._board, name)
        # Its place among those that wait is known where its lane is read in order.
        place = self._board.look(lambda lanes: lanes.files(shown.lane))
        index = next((number for number, file in enumerate(place) if file.name == shown.file.name), 0)
        page = self._board.look(lambda lanes: page_of(lanes, shown.lane, index, 1))
        if page.shown and page.shown[0].file.name == shown.file.name:
            shown = page.shown[0]
        told = story_of(shown, self._saga, self._ledger)
        return {"timestamp": _now(), "quest": quest_told(shown, self._light()), **told}

    async def rows(self, name: str, offset: int, limit: int) -> dict[str, Any]:
        """Rows as the model sees them; raises `NotFound`, `InvalidInput` and `Unavailable`."""

        def job(shown: Shown, yardstick: dict[str, Any]) -> dict[str, Any]:
            record = shown.record
            book = str(self._paths.row_books / f"{record.quest_id}{SUFFIX}") if record is not None else ""
            return {
                "path": str(shown.file.path), "offset": offset, "limit": limit, "yardstick": yardstick, "book": book,
                "content_hash": record.content_hash if record is not None else "",
            }  # fmt: skip

        shown, found = await self._looked(self._for_rows, ROWS, ROWS_SECONDS, name, job)
        rows = shown.record.rows if shown.record is not None else None
        return {"file": as_text(shown.file.name), "total": rows, "offset": offset, **found}

    async def numbers(self, name: str, *, whole: bool) -> dict[str, Any]:
        """Statistics over its first rows, or all; raises as `rows`."""

        def job(shown: Shown, yardstick: dict[str, Any]) -> dict[str, Any]:
            own = shown.record.quest_id if shown.record is not None else None
            return {
                "path": str(shown.file.path), "yardstick": yardstick, "whole": whole or None,
                "sketches": self._sketches(own),
            }  # fmt: skip

        shown, found = await self._looked(self._for_files, NUMBERS, LOOK_SECONDS, name, job)
        return {"file": as_text(shown.file.name), **found}

    async def _looked(
        self,
        scribe: Scribe,
        target: str,
        seconds: float,
        name: str,
        job: Callable[[Shown, dict[str, Any]], dict[str, Any]],
    ) -> tuple[Shown, dict[str, Any]]:
        """Have a quest's file looked at in a scribe; once more where it was moved meanwhile."""
        for attempt in (1, 2):
            shown = await asyncio.to_thread(must_find, self._board, name)
            yardstick = await asyncio.to_thread(self._yardstick, shown.record or NAMELESS)
            try:
                return shown, await scribe.run(target, job(shown, asdict(yardstick)), seconds)
            except NotFound:
                if attempt == 2:
                    raise
        raise AssertionError("it is returned or raised")

    def _yardstick(self, record: QuestRecord) -> Yardstick:
        yardstick = self._around.yardstick_for(record)
        if not is_at_hand(yardstick.tokenizer):
            raise Unavailable(
                "The tokenizer of this hero is not on this machine yet.",
                hint="It comes with the model, which the trainer fetches when it is first started.",
            )
        return yardstick

    def _sketches(self, quest_id: str | None) -> dict[str, Any]:
        """Where rows of earlier quests are compared with; none are kept (`SketchedFile`)."""
        return {"folder": str(self._paths.sketches), "max_bytes": 0, "quest_id": quest_id, "name": ""}

    # --- what comes in ---------------------------------------------------------------------------------------

    async def put_down(self, name: str, priority: str, upload: Incoming) -> dict[str, Any]:
        """Take a file into the inbox; raises as `Uploads.put_down`."""
        path, size = await self._uploads.put_down(name, priority, upload)
        return {"success": True, "file": as_text(path.name), "priority": priority, "size_bytes": size}

    async def judge(self, name: str, upload: Incoming) -> dict[str, Any]:
        """What the gates say of a file that is not let in, and its numbers; raises as `Uploads.on_trial`."""
        checked_name(name)
        async with self._uploads.on_trial(name, upload) as place:
            unpacked = place.with_name("rows.jsonl")
            verdict = await self._for_files.run(INSPECT, {"path": str(place), "unpack_to": str(unpacked)})
            numbers = None
            if verdict["accepted"]:
                rows = str(unpacked if verdict["container"] else place)
                verdict, numbers = await self._measured(verdict, rows)
        kept = ("accepted", "schema_id", "format", "recognised_by", "rows", "size_bytes", *FINDING_KEYS)
        container = (verdict["container"] or {}).get("kind")
        return {"file": name, **{key: verdict[key] for key in kept}, "container": container, "numbers": numbers}

    async def _measured(self, verdict: dict[str, Any], rows: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The verdict of both gates where the realm wants both, and what was counted; None without a tokenizer."""
        options = dropped_options({}, verdict["header"])
        try:
            yardstick = asdict(await asyncio.to_thread(self._yardstick, replace(NAMELESS, **options)))
        except Unavailable:
            return verdict, None
        except RealmError as error:  # a profile of the header that is not known: claims refuse it too
            finding = {"line": None, "field": None, "message": str(error)}
            return {**verdict, "accepted": False, "errors": [finding], "total_errors": 1}, None
        job = {"verdict": verdict, "rows": rows, "yardstick": yardstick, "sketches": self._sketches(None)}
        found = await self._for_files.run(JUDGE_UNPACKED, job)
        return verdict if self._around.gates_are_quick() else found["verdict"], found["numbers"]


def _page_told(page: LanePage, light: Light, schedule: Schedule) -> dict[str, Any]:
    return {"total": page.total, "quests": [quest_told(shown, light, schedule) for shown in page.shown]}


def _ended_told(ended: Ended, shown: Shown | None, light: Light) -> dict[str, Any]:
    told = {"ending": ended.ending, "ended_at": ended_at(ended), "quest": None, "file": as_text(ended.name)}
    if shown is not None:
        return {**told, "quest": quest_told(shown, light), **dict.fromkeys(_KEPT)}
    kept = ended.kept or {}
    return {**told, **{key: kept[key] if isinstance(kept.get(key), kind) else None for key, kind in _KEPT.items()}}


_KEPT: dict[str, Any] = {
    "quest_id": str, "rows": int, "added_at": str, "outcome": str, "rows_learned": int, "loss_first": float,
    "loss_last": float,
}  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat()
