"""The held-out rows of `data/validation/`, known by their keys: what is measured must not be learned (C14)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.measures.yardstick import Stamp, held_out_files, stamp_of_files
from arena.gatekeepers.row_identity import row_key
from arena.gatekeepers.row_reader import read_rows
from core.errors import InvalidInput

logger = logging.getLogger(__name__)


def held_out_keys(folder: str) -> Mapping[bytes, str]:
    """Key of every held-out row, with the name of its file; about 150 bytes of memory a row.

    Kept until a file there changes. Files that fail the gates are not measured either, and are left out.
    """
    files = held_out_files(folder)
    return _read(stamp_of_files(files))


@lru_cache(maxsize=1)
def _read(stamp: Stamp) -> Mapping[bytes, str]:
    keys: dict[bytes, str] = {}
    for name, _, _ in stamp:
        file = Path(name)
        verdict = inspect_file(name)
        if not verdict["accepted"]:
            logger.warning("%s fails the gates and holds nothing out", name, extra={"event": "bad_validation"})
            continue
        try:
            keys.update((row_key(row), file.name) for row in read_rows(file, verdict["schema_id"]))
        except (OSError, InvalidInput) as error:
            logger.warning("%s holds nothing out: %s", name, error, extra={"event": "bad_validation"})
    return keys
