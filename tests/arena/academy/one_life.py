"""One life of a school in a process of its own, which `REALM_CRASH_AT` may end: `python -m … BASE QUESTS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.arena.academy.pupil import Class

if __name__ == "__main__":
    pupil = Class(Path(sys.argv[1]))
    asyncio.run(pupil.live_on(int(sys.argv[2])))
    pupil.close()
