"""Starting in the background: it returns when the page answers, or says why it never will."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import Conflict, RealmError, Unavailable
from core.instance import InstanceLock
from core.paths import CHECKOUT, RealmPaths
from core.services import read_services
from core.shell.background import start_in_background
from tests.waiting import wait_until

SERVE = """
import http.server, os, sys, time
from pathlib import Path
from core.paths import RealmPaths
from core.services import write_services

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()

paths, go = RealmPaths(Path(sys.argv[1])), Path(sys.argv[2])
print("looking for a port", flush=True)
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
while not go.exists():
    time.sleep(0.01)
port = server.server_port
write_services(paths, {"tavern": {"url": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid()}})
server.serve_forever()
"""


@pytest.fixture
def serve(paths: RealmPaths) -> Iterator[list[str]]:
    """A program that answers once the file `go` exists; it ends with the test."""
    yield [sys.executable, "-c", SERVE, str(paths.base), str(paths.base / "go")]
    for pid in {entry["pid"] for entry in read_services(paths).values()}:
        process = psutil.Process(pid)
        process.kill()
        # The thread that waits for it reaps it.
        wait_until(lambda process=process: not process.is_running())


def test_it_waits_for_a_slow_start_and_no_longer(paths: RealmPaths, serve: list[str]) -> None:
    """B27: a fixed delay declared a service dead that was only slow. Any answer counts, 503 too: the page is there."""
    found: list[dict[str, Any]] = []
    starting = threading.Thread(target=lambda: found.append(start_in_background(paths, serve, wait_seconds=60)))
    starting.start()
    log = paths.logs / "up.log"
    wait_until(lambda: log.exists() and "looking for a port" in log.read_text())
    assert not found
    (paths.base / "go").touch()
    starting.join(30)
    (told,) = found
    assert told["services"] == {"tavern": read_services(paths)["tavern"]["url"]}
    assert told["log"] == str(log)
    process = psutil.Process(told["pid"])
    assert os.getsid(process.pid) == process.pid, "it must not end with our terminal"


def test_the_last_words_of_one_that_ends_are_told(paths: RealmPaths) -> None:
    (paths.logs / "up.log").write_text("words of last time\n")
    script = "import sys; print('Port 8888 is taken.'); sys.exit(1)"
    with pytest.raises(RealmError) as refused:
        start_in_background(paths, [sys.executable, "-c", script], wait_seconds=60)
    assert str(refused.value) == "The realm did not come up: it ended with exit code 1.\n  Port 8888 is taken."
    assert (paths.logs / "up.log.1").read_text() == "words of last time\n"


def test_one_that_was_killed_and_said_nothing_is_told_as_such(paths: RealmPaths) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(RealmError, match=r"ended by SIGKILL. It printed nothing"):
        start_in_background(paths, [sys.executable, "-c", script], wait_seconds=60)


def test_one_that_takes_too_long_goes_on_and_is_named(paths: RealmPaths, serve: list[str]) -> None:
    with pytest.raises(Unavailable) as late:
        start_in_background(paths, serve, wait_seconds=0.2)
    pid = late.value.details["pid"]
    assert f"(pid {pid}) does not answer after 0.2 s" in str(late.value)
    assert "realm down" in str(late.value)
    assert psutil.pid_exists(pid)
    (paths.base / "go").touch()
    wait_until(lambda: read_services(paths))


def test_a_second_one_is_refused_before_anything_is_touched(paths: RealmPaths) -> None:
    """B1: the output of the one that runs stays where it is."""
    (paths.logs / "up.log").write_text("words of the living\n")
    lock = InstanceLock(paths.lock)
    lock.acquire({"version": "0.1.0", "base_dir": str(paths.base)})
    with pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
        start_in_background(paths, [sys.executable, "-c", "raise SystemExit(5)"], wait_seconds=60)
    lock.release()
    assert (paths.logs / "up.log").read_text() == "words of the living\n"


def test_ctrl_c_takes_the_start_back(paths: RealmPaths, serve: list[str], tmp_path: Path) -> None:
    code = (
        # What started pytest may have told its background jobs to ignore Ctrl-C.
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys\nfrom pathlib import Path\nfrom core.shell.background import start_in_background\n"
        "from core.paths import RealmPaths\n"
        f"start_in_background(RealmPaths(Path({str(paths.base)!r})), {serve!r}, wait_seconds=60)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as starter:
        log = paths.logs / "up.log"
        wait_until(lambda: log.exists() and "looking" in log.read_text(), timeout=30)
        (started,) = psutil.Process(starter.pid).children()
        starter.send_signal(signal.SIGINT)
        assert starter.wait(60) != 0
    started.wait(60)
