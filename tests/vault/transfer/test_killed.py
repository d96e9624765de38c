"""A puller that is killed wherever it likes leaves the whole asset or none, and the next one goes on."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.vault.making import killed_at
from tests.vault.transfer.byte_service import ByteService, described, same_tree
from tests.vault.transfer.conftest import ASSET, SIZES
from vault.transfer.landing import landing, sweep_pulls
from vault.transfer.listing import read_listing
from vault.transfer.pull import PullOptions, pull_asset

OPTIONS = PullOptions(reserve_bytes=0)
KILLED_AT = ("pull.chunk", "pull.staged", "pull.renamed")
PULL = (
    "import sys; from pathlib import Path; from vault.transfer.pull import pull_asset;"
    "pull_asset(sys.argv[1], sys.argv[2], Path(sys.argv[3]))"
)


@pytest.mark.parametrize("point", ["pull.chunk", "pull.chunk:4", "pull.staged", "write.MANIFEST.json", "pull.renamed"])
def test_killed_anywhere_it_leaves_all_or_nothing(service: ByteService, source: Path, here: Path, point: str) -> None:
    """A30: half a checkpoint under its name was picked as the latest."""
    killed_at(point, PULL, service.url, ASSET, str(here))
    if point == "pull.renamed":
        assert same_tree(source / ASSET, here / ASSET)
    else:
        assert not (here / ASSET).exists()
    report = pull_asset(service.url, ASSET, here, options=OPTIONS)
    assert report.already_there == (point == "pull.renamed")
    if point == "pull.chunk:4":
        assert report.bytes_resumed > 0
    elif point != "pull.chunk" and not report.already_there:
        assert report.bytes_resumed == sum(SIZES.values())
    assert same_tree(source / ASSET, here / ASSET)
    assert [path.name for path in here.iterdir()] == [ASSET]


def test_a_staging_that_nobody_goes_on_with_is_removed_after_a_week(
    service: ByteService, source: Path, here: Path
) -> None:
    """Law 9: what was cut off does not lie about for ever."""
    listing = read_listing(ASSET, described(source / ASSET))
    killed_at("pull.chunk:4", PULL, service.url, ASSET, str(here))
    (staging,) = here.iterdir()
    now = datetime.now(UTC)
    assert sweep_pulls(here, now=now + timedelta(days=6)) == []
    with landing(here, "other", listing):
        os.utime(staging / "chunks")
        assert sweep_pulls(here, now=now + timedelta(days=8)) == [staging]
    assert list(here.iterdir()) == []
