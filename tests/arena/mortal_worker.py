"""A scribe's worker that dies over jobs about `poison` and never ends those about `endless`; else the real one.

It proves what is named `wordy`, and never comes to an end with its tokens.
"""

from __future__ import annotations

import os
import signal
import sys

from core.scribe_worker import answer_to


def main() -> None:
    for line in sys.stdin.buffer:
        if b"poison" in line:
            os.kill(os.getpid(), signal.SIGKILL)
        while b"endless" in line or (b"wordy" in line and b"keep_tokens" in line):
            signal.pause()
        sys.stdout.buffer.write(answer_to(line) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
