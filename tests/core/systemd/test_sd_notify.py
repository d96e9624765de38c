"""systemd's notification protocol, spoken to real sockets."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.systemd.sd_notify import VARIABLES, Notifier
from tests.service_manager import ServiceManager
from tests.waiting import wait_until


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceManager]:
    address = tmp_path / "notify" if request.param == "path" else f"@realm-test-{os.getpid()}"
    with ServiceManager(address) as manager:
        yield manager


def test_each_message_arrives_as_systemd_reads_it(manager: ServiceManager) -> None:
    notifier = Notifier(manager.address)
    notifier.ready("idle")
    notifier.status("training x.jsonl 40 %")
    notifier.alive()
    notifier.extend(1.5)
    notifier.stopping("stopping: Ctrl-C")
    notifier.close()
    notifier.alive()
    wait_until(lambda: len(manager.messages) == 5)
    assert manager.messages == [
        {"READY": "1", "STATUS": "idle"},
        {"STATUS": "training x.jsonl 40 %"},
        {"WATCHDOG": "1"},
        {"EXTEND_TIMEOUT_USEC": "1500000"},
        {"STOPPING": "1", "STATUS": "stopping: Ctrl-C"},
    ]


def test_a_newline_in_a_file_name_says_nothing_of_its_own(manager: ServiceManager) -> None:
    notifier = Notifier(manager.address)
    notifier.status("training evil\nSTOPPING=1\n.jsonl \udcff")
    wait_until(lambda: manager.messages)
    assert manager.messages == [{"STATUS": "training evil STOPPING=1 .jsonl ?"}]
    notifier.close()


def test_the_variables_are_read_once_and_are_gone_for_children(manager: ServiceManager) -> None:
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    notifier = Notifier.from_environment(env)
    assert (notifier.listening, notifier.watchdog_seconds) == (True, 30.0)
    assert env == {"HOME": "/"}
    notifier.close()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("5000000", None, 5.0), ("5000000", "1", None), ("0", None, None), ("soon", None, None), (None, None, None)],
)
def test_a_watchdog_that_is_not_meant_for_us_or_makes_no_sense_is_none(
    usec: str | None, pid: str | None, seconds: float | None
) -> None:
    given = dict(zip(VARIABLES, ("/nowhere", usec, pid), strict=True))
    notifier = Notifier.from_environment({name: value for name, value in given.items() if value is not None})
    assert notifier.watchdog_seconds == seconds
    notifier.close()


def test_without_a_service_manager_nothing_is_said() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.listening
    notifier.ready("idle")
    notifier.close()


def test_an_address_of_another_kind_is_told_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"})
    assert not notifier.listening
    assert "vsock:2:1234 is not understood" in caplog.text


def test_a_manager_that_is_gone_is_logged_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    for _ in range(3):
        notifier.alive()
    notifier.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_manager_that_does_not_read_never_blocks_us(tmp_path: Path) -> None:
    address = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(address)
        notifier = Notifier(address)
        for _ in range(5000):
            notifier.status("x" * 1000)
        notifier.close()
