"""Services: their addresses are found while their process lives, and the holder of a busy port is named."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from core.paths import CHECKOUT, RealmPaths
from core.processes import start_mark
from core.services import (
    describe_port_holder,
    name_listener,
    publish_services,
    read_services,
    remove_services,
    service_url,
    write_services,
)
from core.tasks import TaskCrew
from tests.waiting import wait_until_async


def entry(port: int, pid: int) -> dict[str, object]:
    return {"url": f"http://127.0.0.1:{port}", "port": port, "pid": pid}


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def test_what_was_written_is_read(paths: RealmPaths) -> None:
    entries = {"tavern": entry(8888, os.getpid()), "vault": entry(8767, os.getpid())}
    write_services(paths, entries)
    marked = {name: {**each, "started": start_mark(os.getpid())} for name, each in entries.items()}
    assert read_services(paths) == marked
    assert service_url(paths, "vault") == "http://127.0.0.1:8767"
    assert service_url(paths, "oracle") is None


def test_the_address_of_a_dead_process_is_not_given_out(paths: RealmPaths) -> None:
    """Law 7: an address that nobody listens on any more is not an address."""
    write_services(paths, {"vault": entry(8767, dead_pid())})
    assert "vault" in read_services(paths)
    assert service_url(paths, "vault") is None


def test_the_address_of_a_process_whose_pid_was_given_out_again_is_not_given_out(paths: RealmPaths) -> None:
    """B2: after a power cut a stranger has the pid, and perhaps the port."""
    write_services(paths, {"vault": entry(8767, os.getpid())})
    written = read_services(paths)["vault"]
    paths.services.write_text(json.dumps({"vault": {**written, "started": written["started"] - 1}}))
    assert service_url(paths, "vault") is None
    write_services(paths, {"tavern": entry(8888, os.getpid())})
    assert sorted(read_services(paths)) == ["tavern"]


def test_writing_keeps_living_neighbours_and_drops_dead_ones(paths: RealmPaths) -> None:
    write_services(paths, {"branch": entry(9000, os.getppid()), "oracle": entry(9001, dead_pid())})
    write_services(paths, {"tavern": entry(8888, os.getpid())})
    assert sorted(read_services(paths)) == ["branch", "tavern"]


def test_removing_takes_our_own_and_the_file_goes_with_the_last(paths: RealmPaths) -> None:
    write_services(paths, {"branch": entry(9000, os.getppid()), "tavern": entry(8888, os.getpid())})
    remove_services(paths)
    assert sorted(read_services(paths)) == ["branch"]
    remove_services(paths, pid=os.getppid())
    assert not paths.services.exists()
    remove_services(paths)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"vault": 5, "tavern": {"url": "x"}}'])
def test_a_torn_file_is_no_services(paths: RealmPaths, content: bytes) -> None:
    paths.services.write_bytes(content)
    assert read_services(paths) == {}
    assert service_url(paths, "vault") is None


def test_the_holder_of_a_port_is_named_with_pid_and_command() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        described = describe_port_holder(server.getsockname()[1])
    assert described.startswith(f"pid {os.getpid()} (")
    assert "python" in described


def test_a_holder_that_cannot_be_seen_still_makes_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """B26: a port held in a container, by another user, or behind a hidden /proc."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert describe_port_holder(port).startswith("a process that cannot be seen from here")
    assert name_listener([None, None]) == "a process of another user"
    assert name_listener([dead_pid()]).startswith("pid ")
    # psutil reads the system's tables below this folder.
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/nowhere")
    assert describe_port_holder(port).startswith("a process that cannot be seen from here")


def test_reading_services_does_not_load_psutil() -> None:
    code = "import sys, core.services; sys.exit('psutil' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, timeout=30, check=False).returncode == 0


async def test_addresses_that_the_disk_refuses_at_the_start_are_published_as_soon_as_it_can(paths: RealmPaths) -> None:
    """A realm on a full disk pauses and goes on by itself; it did not start at all."""
    paths.services.mkdir()  # in the way of the file, as a full disk is
    crew = TaskCrew()
    refused = publish_services(paths, {"vault": entry(8767, os.getpid())}, crew, retry_seconds=0.01)
    assert isinstance(refused, OSError)
    paths.services.rmdir()
    await wait_until_async(lambda: service_url(paths, "vault") is not None)
    assert crew.names() == ["address book"]
    assert await crew.stop(5) == []

    assert publish_services(paths, {"tavern": entry(8888, os.getpid())}, TaskCrew()) is None
    assert service_url(paths, "tavern") is not None
