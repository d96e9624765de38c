"""`python -S -E -m tests.acceptance.stand_in SOCKET -m arena.trainer …`: what a daemon takes for its trainer child.

It has the nursery fork the real one, passes a SIGTERM on, and ends as that ends. Killed, it takes the fork along: the
nursery sees the connection break. It imports next to nothing, as it is there to save time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> int:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(sys.argv[1])
    birth = {"arguments": sys.argv[4:], "environment": dict(os.environ), "pid": os.getpid()}
    signal.signal(signal.SIGTERM, lambda number, frame: link.send(b"end"))
    socket.send_fds(link, [json.dumps(birth).encode()], [1, 2])
    return int(link.recv(16) or b"1")


if __name__ == "__main__":
    sys.exit(main())
