"""An officer beside a realm: it leaves that one's files alone, and is found by programs of its machine."""

from __future__ import annotations

import json
from pathlib import Path

from core.hosts import get_registry
from tests.vault.branch.posts import Posts
from tests.waiting import wait_until


def test_an_officer_ends_by_its_own_file_and_is_published_whatever_its_registry_is_written_in(tmp_path: Path) -> None:
    """G5: with `hosts.json` nobody knew where it listens. It also ate the `.stop` that was meant for the realm."""
    posts = Posts(tmp_path / "posts")
    paths = posts.paths("nas")
    paths.hosts_file.unlink()
    paths.hosts_file.with_suffix(".json").write_text(json.dumps({"hosts": posts.hosts(), "local_host": "nas"}))
    paths.stop_file.touch()
    own = posts.folder / "nas" / ".branch.stop"
    own.touch()
    try:
        process = posts.open("nas", "--no-scan")
        wait_until(lambda: get_registry(paths, {}).own_urls, 20, "it was never published")
        assert get_registry(paths, {}).own_urls == {posts.ports["nas"]: posts.url("nas")}
        own.touch()
        assert process.wait(20) == 0
        assert not own.exists()
        assert paths.stop_file.exists()
    finally:
        posts.close()
