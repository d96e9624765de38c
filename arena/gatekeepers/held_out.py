"""What is measured must not be learned (C14): the rows of `data/validation/`, and held-out problems of all skills."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from arena.gatekeepers.findings import Findings
from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.measures.yardstick import Stamp, held_out_files, stamp_of_files
from arena.gatekeepers.row_identity import row_key
from arena.gatekeepers.row_reader import Row, read_rows
from core.errors import InvalidInput
from guild.dojo.recognising import held_out_problem

logger = logging.getLogger(__name__)


class HeldOut:
    """Looks at every row of one file, and names those with which something is measured."""

    def __init__(self, folder: str, findings: Findings) -> None:
        """`folder` is that of `Yardstick.held_out`."""
        self._keys = held_out_keys(folder)
        self._findings = findings
        self._checked = self._validation_rows = self._problems = 0

    def look(self, row: Row, key: bytes | None) -> None:
        """The next row, whose `row_key` is `key`; it may lack where `wants_keys` is False."""
        self._checked += 1
        if key is not None and (file := self._keys.get(key)) is not None:
            self._validation_rows += 1
            message = f"this row is held out in data/validation/{file}, and what is learned cannot be measured with"
            self._findings.error(row.line, None, message)
        if (found := _problem_in(row)) is not None:
            self._problems += 1
            place, skill_id = found
            # Whoever brings his own arithmetic need not care about our examinations: told, and let in.
            message = (
                f"this is a held-out problem of the skill {skill_id}, with which it is examined: take the row out, or "
                "its examinations show more than was understood"
            )
            self._findings.warn(row.line, place, message)

    @property
    def wants_keys(self) -> bool:
        return bool(self._keys)

    def stats(self) -> dict[str, int]:
        """For the statistics of DEEP."""
        return {
            "checked": self._checked,
            "validation_rows": self._validation_rows,
            "held_out_problems": self._problems,
        }


def _problem_in(row: Row) -> tuple[str, str] | None:
    """The place of a user turn that asks a held-out problem, and the problem's skill."""
    messages = row.messages or []
    for index, message in enumerate(messages[:-1]):
        if message["role"] == "user" and messages[index + 1]["role"] == "assistant":
            skill_id = held_out_problem(message["content"], messages[index + 1]["content"])
            if skill_id is not None:
                return row.places[index], skill_id
    return None


def held_out_keys(folder: str) -> Mapping[bytes, str]:
    """Key of every held-out row, with the name of its file; about 150 bytes of memory a row.

    Kept until a file there changes. Files that fail the gates are not measured either, and are left out.
    """
    return _keys(stamp_of_files(held_out_files(folder)))


@lru_cache(maxsize=1)
def _keys(stamp: Stamp) -> Mapping[bytes, str]:
    return {row_key(row): file.name for file, rows in validation_rows(stamp) for row in rows}


def validation_rows(stamp: Stamp) -> Iterator[tuple[Path, Iterator[Row]]]:
    """The rows of each of these files that passes the gates."""
    for name, _, _ in stamp:
        verdict = inspect_file(name)
        if verdict["accepted"]:
            yield Path(name), _readable(Path(name), verdict["schema_id"])
        else:
            logger.warning("%s fails the gates and holds nothing out", name, extra={"event": "bad_validation"})


def _readable(file: Path, schema_id: str) -> Iterator[Row]:
    try:
        yield from read_rows(file, schema_id)
    except (OSError, InvalidInput) as error:
        logger.warning("%s holds nothing more out: %s", file, error, extra={"event": "bad_validation"})
