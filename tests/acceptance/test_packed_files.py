"""Packed files in a living realm: dropped, learned exactly once, also when the daemon is killed on the way."""

from __future__ import annotations

import gzip
import json

import zstandard

from tests.acceptance.conftest import Founder
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import chat_rows


def test_packed_files_are_learned_once_and_broken_ones_can_be_retried(found_realm: Founder, nursery: Nursery) -> None:
    """C1, C6: the daemon is killed between the admission of a packed file and its removal from the inbox."""
    realm = found_realm(nursery=nursery)
    rows = chat_rows(40)
    pretty = json.dumps([json.loads(row) for row in rows], indent=2).encode()
    (realm.paths.inbox / "first.json").write_bytes(pretty)
    realm.wish("stop")  # so that no trainer loads torch to see its daemon die
    realm.up(awake=False, REALM_CRASH_AT="move.linked:1")
    assert realm.wait_for_end() == -9
    assert (realm.paths.inbox / "first.json").exists()
    assert [path.name for path in realm.lane("normal")] == ["first.jsonl"]

    realm.wish("resume")
    realm.up(awake=False)
    realm.wait_until_done(1)
    lines = "".join(f"{row}\n" for row in chat_rows(20, start=100)).encode()
    (realm.paths.inbox / "second.jsonl.gz").write_bytes(gzip.compress(lines))
    (realm.paths.inbox / "high" / "third.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines))
    (realm.paths.inbox / "broken.json").write_bytes(pretty.replace(b'"assistant"', b'"wizard"', 1))
    realm.wait_until_done(3)
    assert sorted(realm.taught()) == [
        ("first.jsonl", "learned", 40), ("second.jsonl", "learned", 20), ("third.jsonl", "learned", 20)
    ]  # fmt: skip

    failed = realm.paths.lane("failed") / "broken.json"
    realm.wait((failed.with_name("broken.json.rejection.json")).exists, "the rejection")
    validated = realm.cli("validate", str(failed))
    assert validated.returncode == 1
    assert "line 2, item 1, messages[1].role: role 'wizard'" in validated.stdout
    failed.write_bytes(pretty)
    assert realm.cli("quest", "retry", "broken.json").returncode == 0
    realm.wait_until_done(4)
    assert realm.taught()[-1] == ("broken.jsonl", "learned", 40)
    assert [path.name for path in realm.paths.inbox.rglob("*") if path.is_file()] == []
    assert realm.stop() == 0
