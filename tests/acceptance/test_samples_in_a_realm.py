"""All sample files and sixty damaged ones dropped into a living realm: each ends where it must, the realm lives on."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.paths import LANES
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.arena.gatekeepers.mutating import mutated
from tests.arena.gatekeepers.test_samples import DATA, EXPECTED, GOOD

MUTANTS = 60
INBOX = {"settle_seconds": 0.2, "incomplete_seconds": 1.0, "scan_seconds": 0.1}
ENDED = {"failed", "recently_completed"}


def drop(realm: LivingRealm, name: str, data: bytes) -> None:
    """As a careful program does: under a name that is left alone, then renamed."""
    part = realm.paths.inbox / f".{name}.part"
    part.write_bytes(data)
    part.rename(realm.paths.inbox / name)


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[LivingRealm]:
    living = LivingRealm(
        tmp_path_factory.mktemp("samples"), nursery=nursery, hyperparams={"max_length": 2048}, inbox=INBOX
    )
    try:
        living.up()
        yield living
    finally:
        living.close()


def data_files(realm: LivingRealm, lane: str) -> list[str]:
    """Names in a lane but for sidecars and reports; a rejected container keeps its suffix."""
    names = [path.name for path in realm.paths.lane(lane).iterdir()]
    return [name for name in names if not name.startswith(".") and not name.endswith((".meta.json", ".rejection.json"))]


def stories(realm: LivingRealm) -> dict[str, tuple[str, Path, dict[str, Any]]]:
    """Every quest by the name under which it was dropped: lane, data file, sidecar."""
    found: dict[str, tuple[str, Path, dict[str, Any]]] = {}
    for lane in LANES:
        for sidecar in realm.paths.lane(lane).glob("*.meta.json"):
            if not sidecar.with_name(sidecar.name.removesuffix(".meta.json")).exists():
                continue  # its quest has moved on, and it is about to go
            body = json.loads(sidecar.read_text())
            data = sidecar.with_name(sidecar.name.removesuffix(".meta.json"))
            if data.exists() and "original_name" in body:
                assert body["original_name"] not in found, "a quest is in exactly one place (law 1)"
                found[body["original_name"]] = (lane, data, body)
    return found


@pytest.mark.timeout(300)
def test_every_sample_ends_in_its_lane_with_its_report_and_damaged_ones_are_neither_lost_nor_fatal(
    realm: LivingRealm,
) -> None:
    """C7, C16, C17, C18, C19, B30: nothing that is dropped stops the daemon or gets lost."""
    daemon = realm.pid
    for name in EXPECTED:
        sidecar = DATA / f"{name}.meta.json"
        if sidecar.exists():
            shutil.copy(sidecar, realm.paths.inbox)
        drop(realm, Path(name).name, (DATA / name).read_bytes())
    chance = random.Random(3)
    for number in range(MUTANTS):
        name = chance.choice(GOOD).rpartition("/")[2]
        data = mutated((DATA / "good" / name).read_bytes(), chance)
        # A file whose end is missing is waited for; a whole one is judged at once.
        drop(realm, f"mutant{number}-{name}", data if name.endswith((".gz", ".zst", ".json")) else data + b"\n")
    judged = [name for name, wanted in EXPECTED.items() if wanted["verdict"] != "left alone"]

    def settled() -> bool:
        ended = sum(len(data_files(realm, lane)) for lane in ENDED)
        return ended >= len(judged) + MUTANTS and not any(data_files(realm, lane) for lane in set(LANES) - ENDED)

    realm.wait(settled, "every file in its last lane", timeout=240)
    found = stories(realm)
    for name, wanted in EXPECTED.items():
        dropped = Path(name).name
        if wanted["verdict"] == "left alone":
            assert (realm.paths.inbox / dropped).exists(), name
            assert any(dropped in event["message"] for event in realm.events("inbox_strange")), name
            continue
        lane, data, _ = found[dropped]
        assert lane == wanted["lane"], (name, found[dropped][2].get("reason"))
        if lane == "failed":
            told = data.with_name(f"{data.name}.rejection.json")
            realm.wait(told.exists, f"{told.name}, which follows the file")
            report = json.loads(told.read_text())
            assert report["reasons"], name
            if "message" in wanted:
                first = report["reasons"][0]
                assert (first["line"], first["field"]) == (wanted.get("line"), wanted.get("field")), name
                assert first["message"] == wanted["message"], name
    assert realm.pid == daemon
    assert realm.http("GET", "/health").status_code == 200
    log = (realm.paths.logs / "realm.jsonl").read_text()
    assert '"exc"' not in log, "no traceback, whatever was dropped"
