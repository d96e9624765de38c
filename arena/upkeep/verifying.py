"""Reading one checkpoint again because somebody asks for it: at full speed, but in slices.

Between two of them the intake has its turn. What is found is the scrubber's to write down and to
act on, as if it had read it itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from core.errors import Unavailable

SLICE_BYTES = 32 << 20

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Has the scribe run a job: `Scribe.run`."""


async def read_again(
    folder: Path, ask: Ask, *, on_size: Callable[[int], object], on_read: Callable[[int], Awaitable[None]]
) -> dict[str, Any]:
    """Compare every file with its hash: `{problems, files, bytes, seconds}`.

    `on_size` hears how many bytes there are to read, `on_read` how many are read so far. A file that seems altered is
    read twice: memory and cables err too. Raises `Unavailable` where the files cannot be looked at.
    """
    begun = time.monotonic()
    opened = await ask("vault.rereading:open_checkpoint", {"folder": str(folder)})
    problems: list[str] = list(opened["problems"])
    files: dict[str, Any] = {} if problems else opened["files"]
    on_size(sum(entry["size"] for entry in files.values()))
    read = 0
    for name, entry in sorted(files.items()):
        for _ in range(2):
            digest, problem = await _hash(folder / name, ask, read, on_read)
            problem = problem or (None if digest == entry["blake3"] else "was altered")
            if problem is None:
                break
        else:
            problems.append(f"{name} {problem}")
        read += entry["size"]
    await on_read(read)
    return {"problems": problems, "files": len(files), "bytes": read, "seconds": time.monotonic() - begun}


async def _hash(
    path: Path, ask: Ask, before: int, on_read: Callable[[int], Awaitable[None]]
) -> tuple[str | None, str | None]:
    """Digest of a whole file, or why it cannot be read."""
    offset, begun_anew = 0, 0
    while True:
        answer = await ask("vault.rereading:read_slice", {"path": str(path), "offset": offset, "length": SLICE_BYTES})
        if answer["digest"] is not None or answer["problem"] is not None:
            return answer["digest"], answer["problem"]
        begun_anew += answer["offset"] <= offset
        if begun_anew > 3:
            raise Unavailable(f"{path.name} could not be read in one go.", hint="Try again when the realm is quieter.")
        offset = answer["offset"]
        await on_read(before + offset)
