"""Quests over HTTP for people: `/api/quests*` of the tavern's port."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from arena.reading_room.reading_room import ReadingRoom
from arena.reading_room.uploading import NoRoom
from arena.routes import QuestName, TrainingService, board_wishes
from core.errors import InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_TEXT, Inputs, Truth
from core.http.uploads import Upload

TAG = "quests"
HAS_SIGN = "[^/]*[._][^/]*"
"""An id or a file name, and none of the fixed paths beside them."""
UPLOAD_NAME = r"^[^/.~#\u0000-\u001f\u007f][^/\u0000-\u001f\u007f]*\.jsonl?(\.gz|\.zst)?$"

Offset = Annotated[int, Field(ge=0, le=1_000_000_000), FROM_TEXT]
PageSize = Annotated[int, Field(ge=1, le=500), FROM_TEXT]


class BoardSize(Inputs):
    limit: PageSize = Field(default=50, description="Quests of each lane at most.")


class LanePart(Inputs):
    lane: Literal["high", "normal", "low", "processing", "awaiting_seal"] | None = Field(
        default=None, description="Left out: all of these, in the order in which they are learned."
    )
    offset: Offset = 0
    limit: PageSize = 50


class HistoryPart(Inputs):
    ending: Literal["completed", "failed", "skipped", "removed"] | None = None
    offset: Offset = 0
    limit: PageSize = 50


class OneQuest(Inputs):
    quest: QuestName


class RowsPart(Inputs):
    offset: Offset = Field(default=0, description="Rows to pass over.")
    limit: Annotated[int, Field(ge=1, le=50), FROM_TEXT] = 10


class Extent(Inputs):
    whole: Truth = Field(default=False, description="All rows also of a large file; else its first thousand.")


class FileNamed(Inputs):
    name: Annotated[str, Field(min_length=6, max_length=200, pattern=UPLOAD_NAME)] = Field(
        description="Name of the file, whose end tells what it is."
    )


class FilePut(FileNamed):
    priority: Literal["high", "normal", "low"] = "normal"


def quest_routes(room: ReadingRoom, training: TrainingService) -> list[Endpoint]:
    """What there is to see of quests, and what can be done with them."""
    return [*_board_routes(room), *_inspector_routes(room), *_upload_routes(room),
            *board_wishes(training, "/api/quests")]  # fmt: skip


def _board_routes(room: ReadingRoom) -> list[Endpoint]:
    async def board(query: BoardSize) -> dict[str, Any]:
        return await room.board(query.limit)

    async def listed(query: LanePart) -> dict[str, Any]:
        return await room.listed(query.lane, query.offset, query.limit)

    async def history(query: HistoryPart) -> dict[str, Any]:
        return await room.history(query.ending, query.offset, query.limit)

    return [
        Endpoint("GET", "/api/quests", listed,
                 "Quests that are not over, with why each waits and when it will be learned.",
                 tag=TAG, answer="arena.reading_room.answers:QuestPage"),
        Endpoint("GET", "/api/quests/board", board,
                 "The beginning of each lane, what holds them up, and what lies in the inbox.",
                 tag=TAG, answer="arena.reading_room.answers:Board"),
        Endpoint("GET", "/api/quests/history", history,
                 "Quests that are over, newest first, with the loss before and after each.",
                 tag=TAG, answer="arena.reading_room.answers:History", raises=[Unavailable]),
    ]  # fmt: skip


def _inspector_routes(room: ReadingRoom) -> list[Endpoint]:
    async def story(path: OneQuest) -> dict[str, Any]:
        return await room.story(path.quest)

    async def rows(path: OneQuest, query: RowsPart) -> dict[str, Any]:
        return await room.rows(path.quest, query.offset, query.limit)

    async def numbers(path: OneQuest, query: Extent) -> dict[str, Any]:
        return await room.numbers(path.quest, whole=query.whole)

    may_fail = [NotFound, InvalidInput, Unavailable]
    return [
        Endpoint("GET", "/api/quests/{quest}", story,
                 "The whole story of one quest: record, events, reasons, and the checkpoints that hold it.",
                 tag=TAG, answer="arena.reading_room.answers:Story", raises=may_fail, looks=HAS_SIGN),
        Endpoint("GET", "/api/quests/{quest}/rows", rows,
                 "Rows exactly as the model sees them, with what is learned of them.",
                 tag=TAG, answer="arena.reading_room.answers:RowsShown", raises=may_fail, looks=HAS_SIGN),
        Endpoint("GET", "/api/quests/{quest}/numbers", numbers,
                 "Its format, lengths, duplicates, and what the cut takes away.",
                 tag=TAG, answer="arena.reading_room.answers:NumbersOfQuest", raises=may_fail, looks=HAS_SIGN),
    ]  # fmt: skip


def _upload_routes(room: ReadingRoom) -> list[Endpoint]:
    async def put_down(query: FilePut, upload: Upload) -> dict[str, Any]:
        return await room.put_down(query.name, query.priority, upload)

    async def judge(query: FileNamed, upload: Upload) -> dict[str, Any]:
        return await room.judge(query.name, upload)

    return [
        Endpoint("POST", "/api/quests/upload", put_down,
                 "Take the body as a file into the inbox, whole or not at all. A taken name gets a number.",
                 tag=TAG, answer="arena.reading_room.answers:PutDown", raises=[Unavailable, NoRoom]),
        Endpoint("POST", "/api/quests/validate", judge,
                 "Have the gates judge the body as a file, without taking it in.",
                 tag=TAG, answer="arena.reading_room.answers:Verdict", raises=[Unavailable, NoRoom]),
    ]  # fmt: skip
