"""A real HTTP server that takes what apprise posts to `json://`, and can be made to refuse or to be slow."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Target:
    """What was posted, and how it is answered."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []
        self.refusals = 0
        """So many of the next messages are refused."""
        self.held = threading.Event()
        self.held.set()
        """Cleared, nobody gets an answer."""
        self.port = 0

    @property
    def address(self) -> str:
        return f"json://user:hunter2@127.0.0.1:{self.port}/secret-path"

    @property
    def bodies(self) -> list[str]:
        return [letter["message"] for letter in self.letters]


@contextmanager
def listening() -> Iterator[Target]:
    target = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            letter = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            target.held.wait(30)
            if target.refusals > 0:
                target.refusals -= 1
                self.send_response(500)
            else:
                target.letters.append(letter)
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield target
    finally:
        target.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
