"""Gate 2 at level STANDARD: rows as the model will see them. What truncation takes, and whether answers end (spec 1.2).

Refuses what would be learned wrongly without anyone noticing: answers that are cut away (C17), rows that teach
nothing, answers without a stop token. Counts all it looks at (PEERS 7.2).
"""

from __future__ import annotations

from collections.abc import Callable

from arena.gatekeepers.findings import Findings
from arena.gatekeepers.measures.row_batches import is_full
from arena.gatekeepers.measures.row_measure import Answer, RowMeasure, measure
from arena.gatekeepers.measures.token_census import TokenCensus
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.gatekeepers.row_identity import row_size
from arena.gatekeepers.row_reader import Row
from arena.gatekeepers.shapes.row import Message, is_learned
from arena.rendering import RenderedRow, Renderer, lost_thoughts
from core.errors import InvalidInput

VALIDATOR_NAME = "token_validator"
VALIDATOR_VERSION = "1.0.0"

MOST_BYTES_PER_TOKEN = 64
"""Text beyond this many bytes for each token of `max_length` is refused unread: tokenizing 100 MB takes gigabytes."""

STOP_BYTES = 64
"""Characters at the end of an answer among which its stop token is looked for."""
P95_WARNING = 0.80
P99_WARNING = 0.90

OnRendered = Callable[[int, RenderedRow], None]


class TokenWarden:
    """Looks at chosen rows of one file; `finish` judges them as a whole."""

    def __init__(
        self, renderer: Renderer, yardstick: Yardstick, findings: Findings, on_rendered: OnRendered | None = None
    ) -> None:
        """`on_rendered` gets each row that could be rendered, with its line, in the order in which they were taken."""
        self._on_rendered = on_rendered
        self.census = TokenCensus(yardstick.max_length)
        self._renderer = renderer
        self._yardstick = yardstick
        self._findings = findings
        self._batch: list[tuple[Row, bool]] = []
        self._batch_bytes = 0
        self._stops: set[str] = set()
        self._told_unstopped = False
        self._told_thoughtless = False

    def take(self, row: Row, *, drawn: bool = True) -> None:
        """Look at a row, now or with the next batch; `drawn` is that of `TokenCensus.count`."""
        size = row_size(row)
        if size > MOST_BYTES_PER_TOKEN * self._yardstick.max_length:
            what = f"holds {size / 1e6:.1f} MB of text, far more than max_length ({self._yardstick.max_length} tokens)"
            self._findings.error(row.line, None, f"{what}: split it")
            return
        self._batch.append((row, drawn))
        self._batch_bytes += size
        if is_full(len(self._batch), self._batch_bytes):
            self._look()

    def _look(self) -> None:
        """Look at the rows taken so far."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        for (row, drawn), rendered in zip(batch, self._render([row for row, _ in batch]), strict=True):
            if rendered is not None:
                if self._on_rendered is not None:
                    self._on_rendered(row.line, rendered)
                measured = measure(rendered, self._yardstick.max_length)
                self.census.count(measured, drawn=drawn)
                self._judge(row, rendered, measured)

    def finish(self, looked_at: str) -> None:
        """Judge the distribution of lengths, once all rows were looked at; `looked_at` says in words which."""
        self._look()
        limit = self._yardstick.max_length
        p95, p99 = self.census.length_at(95), self.census.length_at(99)
        if p95 is None or p99 is None:
            return
        if p95 > limit:
            message = f"every 20th row has {p95} tokens or more (p95), and max_length is {limit}"
            self._findings.error(
                None, None, f"{message}; shorten the rows or raise max_length (looked at: {looked_at})"
            )
            return
        near = [f"p95 is {p95}"] * (p95 > P95_WARNING * limit) + [f"p99 is {p99}"] * (p99 > P99_WARNING * limit)
        if near:
            self._findings.warn(None, None, f"the rows are nearly as long as max_length ({limit}): {', '.join(near)}")

    def _render(self, batch: list[Row]) -> list[RenderedRow | None]:
        """Each row rendered, None for those that cannot be, which are reported."""
        try:
            return list(self._renderer.render_many([row.as_mapping() for row in batch], self._yardstick.system_prompt))
        except InvalidInput:
            # One by one, so that every row at fault is named and not only the first.
            return [self._render_one(row) for row in batch]

    def _render_one(self, row: Row) -> RenderedRow | None:
        try:
            return self._renderer.render_many([row.as_mapping()], self._yardstick.system_prompt)[0]
        except InvalidInput as error:
            self._findings.error(row.line, None, str(error))
            return None

    def _judge(self, row: Row, rendered: RenderedRow, measured: RowMeasure) -> None:
        self._warn_of_typed_tokens(row)
        if not measured.trained:
            self._findings.error(row.line, None, "there is nothing to learn: no token of it belongs to an answer")
            return
        if row.messages is not None:
            self._check_stops(row, rendered, measured)
            self._warn_of_lost_thoughts(row, row.messages, rendered)
        if not measured.is_cut:
            return
        faults = [(answer, fault) for answer in measured.answers if (fault := self._cut_fault(row, measured, answer))]
        if faults:
            answer, fault = faults[0]
            more = f"; so it is with {len(faults) - 1} more of its answers" if len(faults) > 1 else ""
            place = _place(row, measured.answers.index(answer), len(measured.answers))
            self._findings.error(row.line, place, f"{fault}{more}; shorten the row or raise max_length")
            return
        lost = measured.trained - measured.trained_kept
        if lost:
            message = (
                f"is cut from {measured.length} to {measured.max_length} tokens, {lost} of those lost are an answer's"
            )
            self._findings.warn(row.line, None, message)

    def _cut_fault(self, row: Row, measured: RowMeasure, answer: Answer) -> str | None:
        """Why the cut must not happen to this answer; None when enough of it is left."""
        limit = measured.max_length
        name = "the text" if row.messages is None else "the answer"
        if answer.is_lost(limit):
            return f"cut to {limit} tokens, nothing is left of {name}, which begins at token {answer.start + 1}"
        if answer.tokens > limit:
            return f"{name} has {answer.tokens} tokens, and max_length is {limit}"
        return None

    def _check_stops(self, row: Row, rendered: RenderedRow, measured: RowMeasure) -> None:
        """Every answer must teach its end (trl#5988); the fault is the template's, so it is told once."""
        if self._told_unstopped:
            return
        for answer, (_, end) in zip(measured.answers, rendered.target_spans, strict=True):
            if rendered.trained[answer.end - 1] and self._ends_with_stop(rendered.text[max(0, end - STOP_BYTES) : end]):
                continue
            self._told_unstopped = True
            self._findings.error(
                row.line,
                None,
                f"the chat template of profile {self._yardstick.profile} ends an answer without a stop token that is "
                "learned, so the model would not learn to stop; use profile chatml",
            )
            return

    def _ends_with_stop(self, tail: str) -> bool:
        if tail.endswith(tuple(self._stops)):
            return True
        stops = [
            token for token in self._renderer.special_tokens_in_content([{"content": tail}]) if tail.endswith(token)
        ]
        self._stops.update(stops)
        return bool(stops)

    def _warn_of_typed_tokens(self, row: Row) -> None:
        content = row.messages if row.messages is not None else [{"content": row.text}]
        if typed := self._renderer.special_tokens_in_content(content):
            message = f"special tokens are typed into the text and become control tokens: {' '.join(typed):.200}"
            self._findings.warn(row.line, None, message)

    def _warn_of_lost_thoughts(self, row: Row, messages: list[Message], rendered: RenderedRow) -> None:
        """Reasoning that the template leaves out is not learned (PEERS 7.1); told once, since it is the template's."""
        if self._told_thoughtless or not (lost := lost_thoughts(messages, rendered.text)):
            return
        self._told_thoughtless = True
        message = f"the chat template of profile {self._yardstick.profile} leaves out the reasoning of this turn"
        self._findings.warn(row.line, row.places[lost[0]], f"{message}, so it is not learned; profile chatml keeps it")


def _place(row: Row, number: int, answers: int) -> str | None:
    """Where in the row its answer of that number stands."""
    if row.messages is None:
        return "text"
    learned = [place for message, place in zip(row.messages, row.places, strict=True) if is_learned(message)]
    # A turn that renders to nothing has no answer; then the numbers say nothing.
    return learned[number] if len(learned) == answers else None
