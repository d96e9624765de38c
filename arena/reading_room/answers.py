"""What `/api/quests*` sends, as models: they describe the answers in the OpenAPI document. What is unknown is null."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from core.http.answer_models import Answer

Priority = Literal["high", "normal", "low"]
Lane = Literal["high", "normal", "low", "processing", "awaiting_seal", "failed", "recently_completed"]


class Why(Answer):
    """Why a quest lies where it lies."""

    code: Literal["learning", "next", "turn", "held", "unchecked", "sealing", "over", "failed"]
    message: str


class QuestShown(Answer):
    """A quest in one row. A file that the gates have not seen has null in most fields."""

    quest_id: str | None
    file: str
    original_name: str | None
    """The name under which it was dropped."""
    lane: Lane
    priority: str | None
    size_bytes: int
    rows: int | None
    tokens: int | None
    """Of one pass over it, as the gate before training counted or drew them."""
    epochs: int | None
    steps: int | None
    """Of all epochs, by the present settings."""
    added_at: str | None
    source: Literal["dropped", "uploaded", "guild", "generated"]
    generator: str | None
    """Who made it, as its sidecar says."""
    attempts: int
    strikes: int
    why: Why | None
    """Null for what was learned."""
    ahead: int | None
    """Of one that waits: how many quests come before it."""
    starts_in_seconds: float | None
    """Of one that waits, by the measured speed; null while nothing goes on."""
    takes_seconds: float | None
    outcome: str | None
    finished_at: str | None
    rows_learned: int | None
    loss_first: float | None
    """Of its first step, nats per target token."""
    loss_last: float | None


class LaneShown(Answer):
    """The beginning of a lane."""

    total: int
    quests: list[QuestShown]


class LanesShown(Answer):
    """All lanes that are not over."""

    processing: LaneShown
    awaiting_seal: LaneShown
    high: LaneShown
    normal: LaneShown
    low: LaneShown


class Lying(Answer):
    """Something in the inbox that is not taken."""

    file: str
    """Its path from the inbox down."""
    reason: str


class InboxShown(Answer):
    """What lies in the inbox."""

    waiting: int
    """Files that will be taken by themselves."""
    left_lying: int | None
    named: list[Lying]
    """The first ten of those left lying."""
    blocked: str | None
    """Why nothing at all is taken at the moment."""


class Board(Answer):
    """The quest board."""

    timestamp: str
    held: Why | None
    """Why no quest at all goes on; null while they do."""
    tokens_per_second: float | None
    lanes: LanesShown
    inbox: InboxShown
    upload_bytes: int
    """Size of a file that may be uploaded at most."""


class QuestPage(Answer):
    """A part of a lane, or of all that are not over."""

    total: int
    offset: int
    quests: list[QuestShown]


class EndedShown(Answer):
    """A quest that is over."""

    ending: Literal["completed", "failed", "skipped", "removed"]
    ended_at: str
    file: str
    quest: QuestShown | None
    """Null where its file is not on the disk any more: it was removed, or past the days or the size of its lane. Then
    what the saga kept of it stands in the fields below."""
    quest_id: str | None
    rows: int | None
    added_at: str | None
    outcome: str | None
    rows_learned: int | None
    loss_first: float | None
    loss_last: float | None


class Totals(Answer):
    """How many there are of each ending."""

    completed: int
    failed: int
    skipped: int
    removed: int


class History(Answer):
    """What is over, newest first."""

    total: int
    totals: Totals
    offset: int
    quests: list[EndedShown]


class Finding(Answer):
    """Something the gates found."""

    line: int | None
    item: int | None = None
    """Of a JSON list, from 1."""
    field: str | None
    message: str


class Rejection(Answer):
    """Why the gates did not let it in."""

    reasons: list[Finding]
    """The first hundred."""
    total_reasons: int | None
    warnings: list[Finding]
    total_warnings: int | None


class StrikeTold(Answer):
    """A death of the trainer while it was stepping this quest."""

    at: str
    ordinal: int
    quest_step: int
    cause: str


class RecordTold(Answer):
    """What its sidecar tells beside the row."""

    content_hash: str
    """BLAKE3, hex."""
    schema_id: str
    profile: str | None
    system_prompt: str | None
    first_step: int | None
    last_step: int | None
    strikes: list[StrikeTold]
    proof: dict[str, Any] | None
    """What the gate before training found."""
    lineage: dict[str, Any]


class EventOfQuest(Answer):
    """Something that happened to it."""

    id: int
    at: str
    kind: str
    message: str
    data: dict[str, Any] | None


class HeldBy(Answer):
    """A checkpoint with some of the quest in its weights."""

    name: str
    step: int
    saved_at: str | None
    holds_all: bool


class Story(Answer):
    """All that is known of one quest."""

    timestamp: str
    quest: QuestShown
    record: RecordTold | None
    rejection: Rejection | None
    events: list[EventOfQuest]
    """The newest 200, oldest of them first."""
    checkpoints: list[HeldBy]
    """Those that are kept, by their steps; the first 20."""


class About(Answer):
    """What a file is, by its first bytes and rows."""

    format: str | None
    recognised_by: str | None
    container: str | None
    """`gzip`, `zstd`, `json_array` or two of them; null for JSON lines."""
    size_bytes: int


class Span(Answer):
    """A stretch of a row's text."""

    text: str
    trained: bool
    """Whether its tokens are learned."""
    lost: bool
    """Whether it lies behind the cut at `max_length`."""


class AnswerOfRow(Answer):
    """One stretch to learn."""

    tokens: int
    is_lost: bool
    is_cut: bool


class RowShown(Answer):
    """A row exactly as the model sees it."""

    number: int
    """From 1; a header is no row."""
    line: int
    """Line of the file, or item of a list."""
    fault: str | None
    """Why it is not rendered; the spans are then the beginning of what it says."""
    length: int | None
    """Tokens, before the cut."""
    trained: int | None
    """Tokens to learn, before the cut."""
    trained_kept: int | None
    tokens_lost: int | None
    is_cut: bool
    answers: list[AnswerOfRow]
    spans: list[Span]
    hidden_characters: int | None
    """Characters that are not shown, as the row is too long for a page."""
    first_loss: float | None
    """Of its first lesson, mean over its target tokens, nats."""
    last_loss: float | None
    last_step: int | None


class RowsShown(Answer):
    """Rows of a quest."""

    file: str
    total: int | None
    """Rows of the quest; null where nobody has counted them."""
    offset: int
    rows: list[RowShown]
    has_more: bool
    max_length: int
    about: About


class Histogram(Answer):
    """How long rows are, in tokens before the cut."""

    max_length: int
    width: int
    """The first bar counts rows of 1 to so many tokens, and so on."""
    bars: list[int]


class Summary(Answer):
    """A distribution of tokens."""

    min: int | None
    max: int | None
    median: int | None
    p95: int | None
    p99: int | None


class Census(Answer):
    """Tokens of the rows that were looked at."""

    looked_at: str
    max_length: int
    rows_counted: int
    tokens_kept: int
    length: Summary
    trained: Summary
    longest: int | None
    """Of all rows looked at; `length` leaves out those that were looked at because they are long."""
    rows_truncated: int
    rows_with_no_target_left: int
    tokens_lost: int


class NearDuplicates(Answer):
    """Rows that nearly are rows of other files."""

    checked: int
    files_compared: int
    like_earlier_quests: int
    like_held_out_rows: int


class Numbers(Answer):
    """Statistics of a file."""

    format: str | None
    recognised_by: str | None
    container: str | None
    size_bytes: int
    rows: int
    """That were looked at."""
    broken_rows: int
    duplicates: int
    """Rows that say the same as an earlier one."""
    duplicate_lines: list[int]
    near_duplicates: NearDuplicates | None
    tokens: Census | None
    histogram: Histogram | None
    errors: list[Finding]
    total_errors: int
    warnings: list[Finding]
    total_warnings: int


class NumbersOfQuest(Numbers):
    """Statistics of a quest."""

    file: str


class Verdict(Answer):
    """What the gates say of a file."""

    accepted: bool
    file: str
    schema_id: str | None
    format: str | None
    recognised_by: str | None
    container: str | None
    size_bytes: int | None
    rows: int
    errors: list[Finding]
    total_errors: int
    warnings: list[Finding]
    total_warnings: int
    numbers: Numbers | None
    """Null for a file that is not let in, and where the hero's tokenizer is not on this machine yet."""


class PutDown(Answer):
    """A file that lies in the inbox; the gates look at it next."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"success": True, "file": "greetings.jsonl", "priority": "normal", "size_bytes": 4096}]
        }
    )

    success: bool
    file: str
    """Its name now: a taken one got a number."""
    priority: Priority
    size_bytes: int
