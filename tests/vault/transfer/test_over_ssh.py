"""Assets to and from a host without an officer: the real rsync, and in place of ssh a script that runs things here."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.host_models import Host
from core.hosts import get_registry
from core.paths import RealmPaths
from tests.vault.transfer.byte_service import same_tree
from tests.vault.transfer.conftest import ASSET, SIZES
from vault.carrying import Carrier
from vault.catalog.catalog import Catalog
from vault.manifest import MANIFEST, check_manifest
from vault.transfer.over_ssh import SshZone
from vault.transfer.pull import PullOptions
from vault.transfer.rsync import SSH, SshHost

TOTAL = sum(SIZES.values())
QUICK = PullOptions(stall_seconds=5.0, retry_seconds=20.0, reserve_bytes=0)

# As ssh does: what stands behind the host is joined by blanks, and a shell there reads it.
STAND_IN = r"""#!/bin/sh
echo "$@" >> "{folder}/calls"
while [ $# -gt 0 ]; do
  case "$1" in -l|-o) shift 2;; --) shift;; *) break;; esac
done
shift
if [ -e "{folder}/refuse" ]; then cat "{folder}/refuse" >&2; exit 255; fi
if [ -s "{folder}/cuts" ]; then
  count=$(head -n 1 "{folder}/cuts"); sed -i 1d "{folder}/cuts"
  if [ "$count" != 0 ]; then
    sh -c "echo \$\$ > '{folder}/pid'; exec $*" | {{ stdbuf -o0 head -c "$count"; kill -9 "$(cat "{folder}/pid")"; }}
    exit 255
  fi
fi
exec sh -c "$*"
"""


@pytest.fixture(autouse=True, scope="module")
def rsync() -> None:
    assert shutil.which("rsync"), "The tests need rsync. On Debian: sudo apt-get install rsync"


@dataclass
class There:
    """The other host: a folder of this machine."""

    folder: Path
    shell: tuple[str, ...]
    beside: Path

    def calls(self) -> list[str]:
        return (self.beside / "calls").read_text().splitlines()

    def cut_after(self, *counts: int) -> None:
        """What comes over the next connections ends after so many bytes; 0 is no end."""
        (self.beside / "cuts").write_text("".join(f"{count}\n" for count in counts))

    def refuse(self, words: str) -> None:
        (self.beside / "refuse").write_text(words)

    def host(self, **fields: str) -> Host:
        told = {"id": "nas", "host": "nas.local", "role": "storage", "ssh_user": "backup"}
        return Host.model_validate({**told, "checkpoints_dir": str(self.folder), **fields})

    def zone(self, options: PullOptions = QUICK, cancelled: threading.Event | None = None) -> SshZone:
        return SshZone(self.host(), options, cancelled, self.shell)


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def there(tmp_path: Path, source: Path) -> There:
    """It holds the asset of `source`, in a folder with a name that no shell may read."""
    folder = tmp_path / "the nas; $(touch oops) 'x'"
    os.rename(source, folder)
    beside = tmp_path / "beside"
    beside.mkdir()
    shell = script(beside / "ssh", STAND_IN.format(folder=beside))
    return There(folder, (str(shell), *SSH[1:]), beside)


def wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A program named rsync that is found before the real one, `$REAL`."""
    folder = tmp_path / "programs"
    folder.mkdir()
    script(folder / "rsync", f"#!/bin/sh\nREAL={shutil.which('rsync')}\n{text}\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_checkpoint_comes_whole_and_verified(there: There, here: Path) -> None:
    """G7: the target was the zone's id as a host name, and the asset arrived one directory too deep."""
    told: list[int] = []
    report = there.zone().pull("checkpoint_175000", here, on_progress=lambda each: told.append(each.bytes_total))
    assert (report.path, report.bytes_total, report.already_there) == (here / ASSET, TOTAL, False)
    assert same_tree(there.folder / ASSET, here / ASSET)
    assert [path.name for path in here.iterdir()] == [ASSET]
    assert set(told) <= {TOTAL}
    calls = there.calls()
    assert all("-l backup nas.local rsync --server" in call for call in calls), calls
    assert all("BatchMode=yes" in call and "StrictHostKeyChecking=yes" in call for call in calls)
    # Names and folders go through the protocol: no shell gets to see them.
    assert not any("oops" in call for call in calls)
    assert there.zone().pull("latest", here).already_there


def test_it_is_named_by_its_name_its_step_or_a_path_that_is_known(there: There, here: Path) -> None:
    for number, (reference, known) in enumerate([(ASSET, None), ("175000", None), ("x", f"{there.folder}/{ASSET}")]):
        assert same_tree(there.folder / ASSET, there.zone().pull(reference, here, f"n{number}", known=known).path)
    for unknown in ("checkpoint_17500", "../x", "-e sh", "latest\nx"):
        with pytest.raises(NotFound, match="nas has not got"):
            there.zone().pull(unknown, here)


def test_a_cut_link_is_taken_up_again_where_it_broke(there: There, here: Path) -> None:
    """A30: an interrupted copy left half a checkpoint under its name."""
    stopped = threading.Event()
    impatient = PullOptions(retry_seconds=0.0, reserve_bytes=0)
    # The look for its name, the manifest, and the files, which end after three megabytes.
    there.cut_after(0, 0, 3_000_000)
    with pytest.raises(Unavailable, match="cannot be reached"):
        there.zone(impatient).pull(ASSET, here)
    assert not (here / ASSET).exists()
    report = there.zone(QUICK, stopped).pull(ASSET, here)
    assert report.bytes_resumed > 0
    assert same_tree(there.folder / ASSET, here / ASSET)
    assert [path.name for path in here.iterdir()] == [ASSET]


def test_a_link_that_is_cut_is_asked_again(there: There, here: Path) -> None:
    there.cut_after(0, 500, 2_000_000, 3_000_000)
    assert same_tree(there.folder / ASSET, there.zone().pull(ASSET, here).path)


def test_what_does_not_have_its_hash_comes_again_and_what_rots_there_never_arrives(there: There, here: Path) -> None:
    """A30: a copy is compared hash by hash."""
    there.cut_after(0, 0, 3_000_000)
    with pytest.raises(Unavailable):
        there.zone(PullOptions(retry_seconds=0.0, reserve_bytes=0)).pull(ASSET, here)
    (staged,) = here.glob(".pull-*/files/model.safetensors")
    with staged.open("r+b") as file:
        file.write(b"lost by the disk")
        file.truncate(SIZES["model.safetensors"])
    assert same_tree(there.folder / ASSET, there.zone().pull(ASSET, here).path)
    with (there.folder / ASSET / "optimizer.pt").open("r+b") as file:
        file.write(b"rot")
    with pytest.raises(Unavailable, match=r"optimizer\.pt of .* is not what its manifest says"):
        there.zone().pull(ASSET, here, "again")
    assert not (here / "again").exists()


def test_files_that_vanish_on_the_way_are_no_failure_when_all_of_the_asset_came(
    there: There, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A15: exit code 24 was treated as a failure while the trainer rotated its checkpoints."""
    wrapped(tmp_path, monkeypatch, '"$REAL" "$@" || exit; exit 24')
    assert check_manifest(there.zone().pull(ASSET, here).path) == []


def test_a_checkpoint_that_is_deleted_while_it_is_fetched_is_told_as_such(
    there: There, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A15: the other way round, what came of it must not pass for the whole."""
    gone = f'rm -f "{there.beside}/../"the*/{ASSET}/optimizer.pt'
    only = (
        "case \"$*\" in *append*) FED=$(tr '\\0' '\\n' | grep -v optimizer); printf '%s\\n' \"$FED\" | tr '\\n' '\\0' |"
    )
    wrapped(tmp_path, monkeypatch, f'{only} "$REAL" "$@"; {gone}; exit 24;; esac; exec "$REAL" "$@"')
    with pytest.raises(NotFound, match="was deleted on nas while it was fetched"):
        there.zone().pull(ASSET, here)
    assert not (here / ASSET).exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("backup@nas.local: Permission denied (publickey).", "lets nobody in as backup: put this machine's public key"),
        ("Host key verification failed.", "its host key is not known here"),
    ],
)
def test_what_ssh_refuses_is_told_in_words_and_not_asked_again(there: There, here: Path, said: str, told: str) -> None:
    there.refuse(said)
    with pytest.raises(Unavailable, match=told):
        there.zone().pull(ASSET, here)
    assert len(there.calls()) == 1


@pytest.mark.parametrize(("code", "told"), [(1, "too old"), (11, "a disk refused"), (127, "no rsync on that host")])
def test_an_exit_code_is_told_in_words(
    there: There, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    wrapped(tmp_path, monkeypatch, f"echo trouble >&2; exit {code}")
    with pytest.raises(Unavailable, match=rf"{told} \(rsync exit code {code}\)\. trouble"):
        there.zone().pull(ASSET, here)


def test_without_rsync_or_ssh_it_is_told_what_to_install(
    there: There, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = json.loads((there.folder / ASSET / MANIFEST).read_bytes())
    with pytest.raises(Unavailable, match="ssh is not installed"):
        SshZone(there.host(), QUICK, None, ("/no/ssh",)).push(there.folder / ASSET, manifest, "/x")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="apt-get install rsync"):
        there.zone().pull(ASSET, here)


def test_an_asset_without_a_manifest_does_not_come(there: There, here: Path) -> None:
    """Law 6: no manifest, no entry."""
    (there.folder / ASSET / MANIFEST).unlink()
    with pytest.raises(Conflict, match=r"There is no MANIFEST\.json"):
        there.zone().pull(ASSET, here)
    assert not here.exists()


def test_a_transfer_is_cancelled_and_goes_on_later(there: There, here: Path) -> None:
    cancelled = threading.Event()
    slow = PullOptions(bytes_per_second=2_000_000, reserve_bytes=0)
    with pytest.raises(Unavailable, match="was cancelled"):
        there.zone(slow, cancelled).pull(ASSET, here, on_progress=lambda each: cancelled.set())
    assert not (here / ASSET).exists()
    assert same_tree(there.folder / ASSET, there.zone().pull(ASSET, here).path)


@pytest.mark.parametrize(("user", "address"), [("-oProxyCommand=x", "nas"), ("x", "-oProxyCommand=x"), ("", "nas")])
def test_nobody_logs_in_as_an_option(user: str, address: str) -> None:
    with pytest.raises(InvalidInput):
        SshHost(user, address)


@pytest.mark.parametrize("path", ["-e", "relative", "", "/a\nb", "host:/x"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        SshHost("backup", "nas").place(path)
    assert SshHost("backup", "fd00::1").place("/x") == "backup@[fd00::1]:/x"


# --- through the carrier: what verbs, the API and Python call ------------------------------------------------------


@pytest.fixture
def carrier(there: There, tmp_path: Path) -> Carrier:
    paths = RealmPaths(tmp_path / "realm")
    paths.create()
    hosts = {
        "4090": {"host": "127.0.0.1", "role": "trainer", "services": {"vault": 8767}},
        "nas": {
            "host": "nas.local",
            "role": "storage",
            "ssh_user": "backup",
            "checkpoints_dir": str(there.folder),
            "base_dir": str(there.folder.parent / "all of it"),
        },
    }
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts, "local_host": "4090"}))
    return Carrier(paths, get_registry(paths, {}), lambda: None, QUICK, there.shell)


def test_it_is_pushed_and_fetched_and_in_the_catalog_in_the_same_act(carrier: Carrier, there: There) -> None:
    """A4: a checkpoint that had arrived was in no ledger. G7: it arrived one directory too deep."""
    own = carrier.paths.current_model / ASSET
    shutil.copytree(there.folder / ASSET, own)
    shutil.rmtree(there.folder / ASSET)
    told = carrier.send(own, "nas")
    assert told["destination"] == f"{there.folder}/{ASSET}"
    assert same_tree(own, there.folder / ASSET)
    assert [path.name for path in there.folder.iterdir()] == [ASSET]
    assert carrier.send(own, "nas")["destination"] == told["destination"]  # it is there already
    assert not (there.folder / ASSET / ASSET).exists()
    report = carrier.fetch("checkpoint_175000", "nas")
    assert report.path == carrier.paths.models / ASSET
    assert same_tree(own, report.path)
    with Catalog.opened(carrier.paths.catalog_db, carrier.paths.base) as catalog:
        asset = catalog.locate("checkpoint_175000")
        assert asset is not None
        places = {place.path: (place.stronghold, place.status) for place in asset.locations}
        moved = [(each.from_stronghold, each.to_stronghold, each.success) for each in catalog.recent_transfers()]
    assert places[told["destination"]] == ("nas", "verified")
    assert moved == [("nas", "local_vault", True), ("local_vault", "nas", True), ("local_vault", "nas", True)]


def test_a_place_that_is_taken_there_or_lies_outside_is_left_alone(carrier: Carrier, there: There) -> None:
    """G7, and law 8: no path leads out of the directories that the registry tells of."""
    own = carrier.paths.current_model / ASSET
    shutil.copytree(there.folder / ASSET, own)
    (there.folder / "taken").mkdir()
    with pytest.raises(Conflict, match="is there already, and is something else"):
        carrier.send(own, "nas", "taken")
    assert list((there.folder / "taken").iterdir()) == []
    for outside in ("../outside", "/etc/x", "..", ".hidden", "a/../../x"):
        with pytest.raises(InvalidInput, match="lies outside"):
            carrier.send(own, "nas", outside)
    (own / "optimizer.pt").write_bytes(b"rot")
    with pytest.raises(RealmError, match=r"is damaged: optimizer\.pt"):
        carrier.send(own, "nas", "rotten")
    with Catalog.opened(carrier.paths.catalog_db, carrier.paths.base) as catalog:
        assert {each.success for each in catalog.recent_transfers()} == {False}


def test_a_push_that_is_cut_leaves_nothing_under_the_name_and_goes_on(carrier: Carrier, there: There) -> None:
    """A30: half a checkpoint must not lie there under its name. A single file is carried like a directory."""
    own = carrier.paths.models / "held_out.jsonl"
    own.write_bytes(b"{}\n" * 1_000_000)
    there.cut_after(0, 10)
    told = carrier.send(own, "nas")
    place = there.folder.parent / "all of it" / "held_out.jsonl"
    assert told["destination"] == str(place)
    assert place.read_bytes() == own.read_bytes()
    assert list(place.parent.iterdir()) == [place]
    assert carrier.send(own, "nas")["destination"] == str(place)
