"""A contestant that learns nothing: it writes down who runs when. For the tests of the race itself."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.stopwatch import Course, Lap, Stopwatch, contestant


def run(course: Course, stopwatch: Stopwatch) -> None:
    if course.variant == "lame":
        sys.exit("it broke a leg")
    stopwatch.start()
    for number in range(course.laps):
        with Path(course.chats).open("a", encoding="utf-8") as diary:
            diary.write(f"{course.variant}{number} ")
        # The more rows at once, the longer it takes.
        if not stopwatch.wait(Lap(float(course.micro_rows), 2.0, rows=1, tokens=60, targets=None, loss=0.0)):
            return


if __name__ == "__main__":
    contestant(run)
