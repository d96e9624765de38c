"""A cap that stands in the settings holds for every transfer, and a call may only ask for less."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.paths import RealmPaths
from tests.vault.transfer.byte_service import ByteService
from tests.vault.transfer.conftest import ASSET
from vault.carrying import Carrier
from vault.client import VaultKeeperClient
from vault.transfer.pull import Progress, PullOptions
from vault.transfer.standing import VARIABLE, within_settings

MEGABYTE = 1_000_000


def limited(base: Path, megabytes: str) -> RealmPaths:
    paths = RealmPaths(base)
    paths.configs.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(f"vault:\n  bandwidth_megabytes: {megabytes}\n")
    return paths


def test_whoever_asks_for_a_transfer_may_ask_for_less_than_the_settings_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert within_settings(RealmPaths(tmp_path), PullOptions(bytes_per_second=7)).bytes_per_second == 7
    assert within_settings(RealmPaths(tmp_path)).bytes_per_second is None
    paths = limited(tmp_path, "2.5")
    for asked, given in ((None, 2.5), (1, 1), (10, 2.5)):
        options = PullOptions(connections=9, bytes_per_second=None if asked is None else asked * MEGABYTE)
        found = Carrier.of(paths, options).options
        assert (found.bytes_per_second, found.connections) == (given * MEGABYTE, 9)
    with pytest.raises(InvalidInput, match="bandwidth_megabytes"):
        within_settings(limited(tmp_path, "0"))
    monkeypatch.setenv(VARIABLE, "3")
    assert within_settings(RealmPaths(tmp_path / "elsewhere")).bytes_per_second == 3 * MEGABYTE


def test_a_library_call_keeps_to_the_settings_of_its_host(
    service: ByteService, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALM_BASE_DIR", str(limited(tmp_path / "own", "8").base))
    rates: list[float] = []

    def note(progress: Progress) -> None:
        rates.append(progress.bytes_per_second)

    VaultKeeperClient(service.url).ensure_local(ASSET, here, on_progress=note)
    # Beside what may come at once.
    assert rates[-1] < 14 * MEGABYTE
