"""The doctor on the machine: mounts, rights, ports, the clock, packages, limits of the kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.mounts import MOUNTINFO, mount_of
from core.paths import CHECKOUT, RealmPaths
from core.services import write_services
from tests.watchtower.doctor.patients import patient, save
from watchtower.doctor.checks import clock, filesystem, inotify, packages, permissions, ports, torch_device


@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_a_base_directory_open_to_everybody_is_a_warning(paths: RealmPaths, mode: int) -> None:
    paths.base.chmod(mode)

    assert permissions.check(patient(paths)).verdict == ("warning" if mode == 0o777 else "ok")


def test_folders_of_another_user_are_named(paths: RealmPaths, tmp_path: Path) -> None:
    """Judged in a process without root's rights, to which no folder is closed."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    paths.control.chmod(0o500)
    code = (
        "import os, sys\n"
        "from datetime import UTC, datetime; from pathlib import Path\n"
        "from core.paths import RealmPaths; from watchtower.doctor.checkup import Patient\n"
        "from watchtower.doctor.checks import permissions\n"
        "from core.settings import Settings\n"
        "os.geteuid() or os.seteuid(65534)\n"
        "paths = RealmPaths(Path(sys.argv[1]))\n"
        "found = permissions.check(Patient(paths, Settings(), None, None, datetime.now(UTC)))\n"
        "print(found.verdict, found.message)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=CHECKOUT)

    assert done.stdout.startswith("failure Not writable: "), done.stderr
    assert str(paths.control) in done.stdout


@pytest.mark.parametrize(("host", "verdict"), [("127.0.0.1", "warning"), ("0.0.0.0", "failure")])
def test_a_token_that_others_may_read_is_told(paths: RealmPaths, host: str, verdict: str) -> None:
    """Beyond loopback, the realm does not start with it."""
    paths.token_file.write_text("a-token-of-sixteen-signs")
    paths.token_file.chmod(0o600)
    config = f"services: {{host: {host}}}"
    assert permissions.check(patient(paths, config=config)).verdict == "ok"

    paths.token_file.chmod(0o644)

    found = permissions.check(patient(paths, config=config))
    assert (found.verdict, found.message) == (verdict, f"Others may read the token in {paths.token_file}.")


def test_a_busy_port_names_its_holder_and_our_own_does_not_count(paths: RealmPaths) -> None:
    """B26: ports of two services collided."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = f"services: {{tavern: {port}, vault: {port - 1}, watchtower: {port - 2}}}"
        found = ports.check(patient(paths, config=config))
        assert found.verdict == "failure"
        assert f"{port} (tavern) is taken by pid {os.getpid()}" in found.message

        write_services(paths, {"tavern": {"url": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid()}})
        own = ports.check(patient(paths, config=config, pid=os.getpid()))
        assert (own.verdict, own.message) == ("ok", f"{port} are held by this realm")


def test_an_address_that_is_not_ours_is_not_called_a_busy_port(paths: RealmPaths) -> None:
    """192.0.2.0/24 belongs to nobody."""
    found = ports.check(patient(paths, config="services: {host: 192.0.2.7}"))

    assert found.verdict == "failure"
    assert found.message.startswith("Cannot listen on 192.0.2.7: port 8888 (tavern): Cannot assign requested address")


def test_a_clock_behind_the_latest_checkpoint_is_told(paths: RealmPaths) -> None:
    now = datetime.now(UTC)
    save(paths, 10, now)

    assert clock.check(patient(paths, now=now)).verdict == "ok"
    behind = clock.check(patient(paths, now=now - timedelta(days=1)))
    assert behind.verdict == "failure"
    assert "behind the latest checkpoint" in behind.message
    assert clock.check(patient(paths, now=datetime(1970, 1, 1, tzinfo=UTC))).verdict == "failure"


def test_a_disk_that_cannot_be_written_leaves_the_clock_to_itself(paths: RealmPaths) -> None:
    """What doctor is for: its own probe must not be the trouble."""
    paths.status.rmdir()
    paths.status.symlink_to("/proc/self/task")

    assert clock.check(patient(paths)).verdict == "ok"


MOUNTS = r"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/my\040share rw - nfs4 nas:/x rw
31 22 0:41 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
32 22 0:42 / /mnt/ssh rw shared:3 - fuse.sshfs me@host: rw
33 22 8:2 / /mnt/old rw - ext4 /dev/sdc1 ro
34 22 8:3 / /mnt/ssh ro - ext4 /dev/sdd1 rw
a line that is none
"""


def test_the_file_system_of_a_path_is_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)

    def kind(path: str) -> tuple[str, bool, bool]:
        mount = mount_of(Path(path), table)
        assert mount is not None
        return mount.fs_type, mount.is_network, mount.read_only

    assert kind("/home/x") == ("ext4", False, False)
    assert kind("/mnt/my share/inbox") == ("nfs4", True, False)
    assert kind("/mnt/ntfs") == ("fuseblk", False, False)
    assert kind("/mnt/ssh/y") == ("ext4", False, True), "the later mount covers the earlier one"
    assert kind("/mnt/old") == ("ext4", False, True)
    assert kind("/mnt/oldest") == ("ext4", False, False)
    assert mount_of(tmp_path, tmp_path / "absent") is None


def test_databases_on_a_share_are_a_failure_and_an_inbox_there_is_not(
    paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert filesystem.check(patient(paths)).verdict == "ok"
    local = MOUNTINFO.read_text()
    table = tmp_path_factory.mktemp("kernel") / "mountinfo"

    table.write_text(f"{local}90 22 0:40 / {paths.inbox} rw - nfs4 nas:/x rw\n")
    assert filesystem.check(patient(paths), table).verdict == "ok"
    table.write_text(f"{local}90 22 0:40 / {paths.base} rw - cifs //nas/x rw\n")
    assert filesystem.check(patient(paths), table).verdict == "failure"
    table.write_text(f"{local}90 22 0:40 / {paths.queue} ro - ext4 /dev/sdb rw\n")
    assert "Mounted read-only: queue" in filesystem.check(patient(paths), table).message


@pytest.mark.parametrize(
    ("watches", "instances", "verdict"),
    [(65536, 128, "ok"), (100, 128, "warning"), (65536, 2, "warning"), (None, 128, "ok")],
)
def test_few_file_watches_are_a_warning(
    paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory, watches: int | None, instances: int, verdict: str
) -> None:
    kernel = tmp_path_factory.mktemp("kernel")
    (kernel / "max_user_instances").write_text(f"{instances}\n")
    if watches is not None:
        (kernel / "max_user_watches").write_text(f"{watches}\n")

    assert inotify.check(patient(paths), kernel).verdict == verdict


def test_packages_that_are_missing_or_too_old_are_named(
    paths: RealmPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packages.check(patient(paths)).verdict == "ok"
    installed = tmp_path / "made_up-1.0.dist-info"
    installed.mkdir()
    needs = ("pytest>=999", "no-such-package-at-all", 'no-such-extra; extra == "dev"', "packaging")
    lines = ["Metadata-Version: 2.1", "Name: made-up", "Version: 1.0", *(f"Requires-Dist: {need}" for need in needs)]
    (installed / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages, "DISTRIBUTION", "made-up")

    found = packages.check(patient(paths))

    assert found.verdict == "failure"
    assert sorted(found.details["problems"]) == ["no-such-package-at-all", "pytest"]
    monkeypatch.setattr(packages, "DISTRIBUTION", "never-installed")
    assert "never-installed itself is not installed" in packages.check(patient(paths)).message


def test_cuda_that_torch_does_not_find_is_told(paths: RealmPaths) -> None:
    found = torch_device.check(patient(paths, config="trainer: {device: cuda}"))

    assert (found.verdict == "failure") == (not found.details["cuda"])
