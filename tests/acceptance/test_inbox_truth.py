"""The inbox takes what is whole and good, and says of everything else what is wrong with it and where."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from arena.quest_names import report_of
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import chat_rows

CHUNK_BYTES = 1024
CHUNK_SECONDS = 0.2


@pytest.fixture(scope="module")
def realm(found_shared_realm: Founder, nursery: Nursery) -> LivingRealm:
    """A realm with the inbox as users have it."""
    realm = found_shared_realm(nursery=nursery, inbox={})
    realm.up()
    return realm


def test_a_file_that_is_copied_slowly_is_not_touched_before_it_is_whole(realm: LivingRealm) -> None:
    """C2: a file that is still being copied is neither read half-written nor rejected."""
    rows = chat_rows(160)
    body = "".join(f"{row}\n" for row in rows).encode()
    chunks = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    assert len(chunks) * CHUNK_SECONDS > 3, "the copy must last for several settle times"
    target = realm.paths.inbox / "slow.jsonl"
    pace = threading.Event()
    with target.open("wb") as copy:
        inode = target.stat().st_ino
        for number, chunk in enumerate(chunks):
            copy.write(chunk)
            copy.flush()
            # The pace of the copy is what is tested here; there is nothing to wait for.
            pace.wait(CHUNK_SECONDS)
            assert target.stat().st_ino == inode
            assert target.stat().st_size == min(len(body), (number + 1) * CHUNK_BYTES)
            assert realm.quest("slow") is None
            assert not realm.lane("failed")
    realm.wait_until_done(1)
    assert realm.taught() == [("slow.jsonl", "learned", len(rows))]
    assert realm.lane("recently_completed")[0].read_bytes() == body


def _with_line_7(line: str) -> str:
    rows = chat_rows(20)
    rows[6] = line
    return "".join(f"{row}\n" for row in rows)


BAD_FILES: dict[str, tuple[bytes, int, str]] = {
    "torn": (_with_line_7('{"messages": [{"role": "user", "content": "Hello"').encode(), 7, "JSON"),
    "empty": (b"", 1, "empty"),
    "mute": (_with_line_7(json.dumps({"messages": [{"role": "user", "content": "Hello?"}]})).encode(), 7, "assistant"),
    "masked": (
        _with_line_7(
            json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "wizard", "content": "Abra"}]})
        ).encode(),
        7,
        "wizard",
    ),
    # With an end of line, as a file that ends without one is given a minute to go on.
    "binary": (bytes(range(256)) * 40 + b"\n", 1, "binary"),
}
"""Name: content, line at fault, a word of the reason."""


def test_everything_bad_is_reported_with_line_and_reason_and_a_good_file_trains_after_it(realm: LivingRealm) -> None:
    """C19: the empty file. B16: the daemon goes on. Nothing of a bad file is ever learned, not even its good rows."""
    before = realm.taught()
    for name, (content, _, _) in BAD_FILES.items():
        (realm.paths.inbox / f"{name}.jsonl").write_bytes(content)
    (realm.paths.inbox / "folder.jsonl").mkdir()
    outside = realm.paths.base / "secret.jsonl"
    outside.write_text("".join(f"{row}\n" for row in chat_rows(3)))
    (realm.paths.inbox / "link.jsonl").symlink_to(outside)
    for name in BAD_FILES:
        realm.wait(lambda name=name: realm.lane_of(name) == "failed", f"{name} in failed/")
    realm.drop("good", 30, start=500)
    realm.wait_until_done(len(before) + 1)

    for name, (content, line, word) in BAD_FILES.items():
        report, file = _report_of(realm, name)
        assert file.read_bytes() == content
        assert report["reasons"][0]["line"] == line
        assert word in report["reasons"][0]["message"]
        told = [event for event in realm.events("quest_rejected") if event["message"].startswith(f"{name}.jsonl")]
        assert len(told) == 1
        assert any(f"line {line}" in reason and word in reason for reason in told[0]["data"]["reasons"])
    for name, word in (("folder", "folder"), ("link", "link")):
        path = realm.paths.inbox / f"{name}.jsonl"
        told = [event for event in realm.events("inbox_strange") if event["data"]["path"] == str(path)]
        assert len(told) == 1
        assert word in told[0]["message"]
        assert path.is_dir() if name == "folder" else path.is_symlink()
    assert len(outside.read_text().splitlines()) == 3
    assert realm.taught() == [*before, ("good.jsonl", "learned", 30)]
    realm.wait(lambda: realm.status()["status"] == "idle", "the realm is idle again")


def test_a_corrected_file_of_the_same_name_is_a_new_quest(realm: LivingRealm) -> None:
    """C5: what failed under a name does not count against the next file of that name. C4: lineage goes along."""
    done = len(realm.lane("recently_completed"))
    rows = chat_rows(12, start=900)
    (realm.paths.inbox / "second.jsonl").write_text(rows[0] + "\n{oops}\n")
    realm.wait(lambda: [e for e in realm.events("quest_rejected") if "second.jsonl" in e["message"]], "the rejection")
    assert realm.lane_of("second") == "failed"
    sidecar = realm.paths.inbox / "second.jsonl.meta.json"
    sidecar.write_text(json.dumps({"generator": "by hand", "generator_version": "7"}))
    realm.drop("second", rows)
    realm.wait_until_done(done + 1)
    assert realm.taught()[-1] == ("second.jsonl", "learned", 12)
    finished = [path for path in realm.lane("recently_completed") if path.name.startswith("second_")]
    story = json.loads(Path(f"{finished[0]}.meta.json").read_text())
    assert (story["generator"], story["generator_version"]) == ("by hand", "7")
    assert (story["outcome"], story["rows_learned"], story["strikes"]) == ("learned", 12, [])
    assert not sidecar.exists()


def test_two_files_of_one_name_both_survive(realm: LivingRealm) -> None:
    """C1: a quest never overwrites one of the same name, in whatever lanes the two meet."""
    before = realm.taught()
    realm.wish("pause")  # a paused realm claims nothing, so they wait side by side
    realm.wait(lambda: realm.status()["status"] == "paused", "the pause")
    realm.drop("tale", 3)
    realm.wait(lambda: len(realm.lane("normal")) == 1, "the first on the board")
    realm.drop("tale", 4, start=100)
    realm.wait(lambda: len(realm.lane("normal")) == 2, "the second on the board")
    realm.drop("tale", 5, priority="high", start=200)
    realm.wait(lambda: len(realm.lane("high")) == 1, "the third on the board")
    realm.wish("resume")
    realm.wait_until_done(len(before) + 3)
    assert [rows for _, _, rows in realm.taught()[len(before) :]] == [5, 3, 4]
    tales = [path for path in realm.lane("recently_completed") if path.name.startswith("tale_")]
    assert sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in tales) == [3, 4, 5]


def _report_of(realm: LivingRealm, name: str) -> tuple[dict[str, Any], Path]:
    file = realm.paths.lane("failed") / f"{name}.jsonl"
    report: dict[str, Any] = json.loads(report_of(file).read_text())
    return report, file
