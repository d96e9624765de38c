"""What the pages Vault, Ledger and Checkpoint are told, over a real socket, of a realm with a past."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from arena.annals import turning
from arena.annals.turning import is_turning
from arena.cursor import Cursor
from arena.journal import JOURNAL_NAME, read_history
from arena.protocol import RanOut
from arena.telling.live_report import QuestInBattle
from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import CheckpointRecord
from core.paths import RealmPaths
from tests.arena.annals.past import Past
from tests.arena.quest_makers import take
from tests.tavern.vaulted_realm import HOSTILE, Vaulted, vaulted_realm
from tests.waiting import wait_until_async
from vault.checkpoints import CheckpointStore
from vault.giving_up import size_text
from vault.routes import LedgerPage, ledger_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 10_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def still(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vaulted]:
    """For tests that change nothing."""
    async with vaulted_realm(tmp_path_factory.mktemp("still")) as vaulted:
        yield vaulted


@pytest_asyncio.fixture(loop_scope="module")
async def realm(tmp_path: Path) -> AsyncIterator[Vaulted]:
    async with vaulted_realm(tmp_path) as vaulted:
        yield vaulted


async def test_the_ledger_is_sorted_by_whatever_is_asked_for(still: Vaulted) -> None:
    told = await still.get("/ledger/list?sort=train_loss&order=asc&limit=2")
    assert [row["train_loss"] for row in told["checkpoints"]] == [0.4, 0.5]
    assert (told["total"], told["best"], told["head"]) == (3, still.names["middle"], still.names["last"])
    unknown = await still.get("/ledger/list?sort=accuracy&order=desc&metric=accuracy")
    assert unknown["best"] is None
    assert [row["step"] for row in unknown["checkpoints"]] == [15, 7, 5]
    assert (await still.visitor.get("/ledger/list?sort=los")).status == 400
    assert (await still.get("/ledger/best"))["canonical_name"] == still.names["middle"]


async def test_ten_thousand_checkpoints_are_sorted_and_paged_in_no_time(tmp_path: Path) -> None:
    """F20: no directory is looked into, however many there are; those that have no loss come last either way."""
    paths = RealmPaths(tmp_path)
    paths.create()
    ledger = CheckpointLedger.of(paths)
    records = {}
    for step in range(1, MANY + 1):
        name = f"checkpoint-{step}-20261121-0930"
        (paths.current_model / name).mkdir()
        loss = None if step % 10 == 0 else (step * 7919 % MANY) / MANY
        path = str(ledger.root / name)
        records[name] = CheckpointRecord(step=step, canonical_name=name, path=path, train_loss=loss)
    with ledger._index.locked():
        ledger._index.write(records, now=datetime.now(UTC))
    worst = ledger_page(ledger, LedgerPage(limit=50, sort="train_loss", order="desc"))
    losses = [row["train_loss"] for row in worst["checkpoints"]]
    assert losses == sorted(losses, reverse=True)
    assert (worst["total"], worst["count"]) == (MANY, 50)
    last = ledger_page(ledger, LedgerPage(limit=50, offset=MANY - 50, sort="train_loss", order="asc"))
    assert {row["train_loss"] for row in last["checkpoints"]} == {None}
    # Read once, they are told again without being made anew.
    assert ledger.list_all()[0] is ledger.list_all()[0]


async def test_the_vault_page_looks_into_no_directory(still: Vaulted, monkeypatch: pytest.MonkeyPatch) -> None:
    """F20, F6: each poll walked through every checkpoint; the newest and the best are told, a champion is unknown."""
    walked: list[object] = []

    def walk(top: object, *_: object, **__: object) -> Iterator[object]:
        walked.append(top)
        return iter(())

    monkeypatch.setattr(os, "walk", walk)
    told = await still.get("/vault/assets?limit=2")
    assert walked == []
    assert [row["step"] for row in told["checkpoints"]] == [15, 7]
    assert told["checkpoint_count"] == 3
    assert (told["latest"]["name"], told["best"]["name"]) == (still.names["last"], still.names["middle"])
    assert {row["is_champion"] for row in told["checkpoints"]} == {None}
    assert (told["base_model"]["name"], told["base_model"]["locked"]) == ("seedling", True)
    monkeypatch.undo()
    first = await still.get("/vault/storage")
    assert first["treasury"]["checkpoint_count"] == 3
    assert await still.get("/vault/storage") == first


async def test_assets_are_listed_by_type(still: Vaulted) -> None:
    told = await still.get("/vault/list?type=checkpoint&limit=2")
    assert told["total"] == 3
    assert {asset["asset_type"] for asset in told["assets"]} == {"checkpoint"}
    assert (await still.get("/vault/assets"))["assets_by_type"]["checkpoint"] == 3


async def test_zones_are_told_with_their_live_state(still: Vaulted) -> None:
    """F21: one that answers is online, one that does not is offline and says why; nobody else is asked for it."""
    told = await still.get("/vault/zones")
    assert (told["zones"], told["count"], told["online"]) == ([], 0, 0)
    port = still.visitor.site.port
    still.paths.hosts_file.write_text(
        f"hosts:\n  nas:\n    host: 127.0.0.1\n    role: storage\n    services:\n      branch: {{port: 1}}\n"
        f"  odd:\n    host: 127.0.0.1\n    role: storage\n    services:\n      vault: {{port: {port}, path: /api}}\n"
    )
    told = await still.get("/vault/zones/refresh")
    assert told["count"] == 2
    states = {zone["zone_id"]: (zone["status"], bool(zone["error"])) for zone in told["zones"]}
    assert states["nas"] == ("offline", True)
    assert states["odd"][0] != "online"


async def test_a_checkpoint_is_told_in_all_its_parts(still: Vaulted) -> None:
    told = await still.get(f"/checkpoint-data/{still.names['last']}")
    assert (told["step"], told["found"], told["is_head"], told["deployment"]) == (15, True, True, None)
    assert told["protection"]["level"] == "protected"
    assert "HEAD" in told["protection"]["reason"]
    assert told["physical"]["has_optimizer"] is True
    assert told["physical"]["file_count"] == len(told["physical"]["files"])
    assert {file["name"] for file in told["physical"]["files"]} >= {"model.safetensors", JOURNAL_NAME}
    comparison = told["comparison"]
    assert (comparison["rank"], comparison["of"], comparison["is_best"]) == (3, 3, False)
    assert comparison["since_previous"] == pytest.approx(0.5)
    assert comparison["next"] is None
    first = await still.get("/checkpoint-data/5")
    assert first["name"] == still.names["first"]
    assert first["verification"]["verified_at"] is None


@pytest.mark.parametrize("asked", ["1000", "no%20such", "..%2F..", "%3Cscript%3E", "base"])
async def test_what_is_not_there_says_what_there_is(still: Vaulted, asked: str) -> None:
    told = await still.get(f"/checkpoint-data/{asked}")
    assert (told["found"], told["ledger"], told["physical"]) == (False, None, None)
    assert told["available"]["count"] == 3
    assert told["available"]["nearest"][0]["step"] == 15


async def test_a_checkpoint_tells_the_very_quests_that_it_has_learned(still: Vaulted) -> None:
    told = await still.get(f"/checkpoint-data/{still.names['last']}/lineage")
    assert told["known"] is True
    assert told["parent"]["name"] == still.names["middle"]
    assert told["children"] == []
    assert told["since"] == {"quests": 2, "rows": 32, "steps": 8}
    assert told["total"] == {"quests": 3, "rows": 60, "steps": 15}
    assert [(quest["file"], quest["rows"], quest["rows_total"]) for quest in told["quests"]] == [
        ("third.jsonl", 20, 20), (f"{HOSTILE}.jsonl", 12, 20),
    ]  # fmt: skip
    everything = await still.get(f"/checkpoint-data/{still.names['last']}/lineage?scope=all&limit=1&offset=2")
    assert (everything["quest_count"], [quest["ordinal"] for quest in everything["quests"]]) == (3, [1])
    middle = await still.get(f"/checkpoint-data/{still.names['middle']}/lineage")
    assert [quest["outcome"] for quest in middle["quests"]] == ["in progress"]
    assert [node["name"] for node in middle["children"]] == [still.names["last"]]
    first = await still.get(f"/checkpoint-data/{still.names['first']}/lineage")
    assert (first["parent"], first["genesis"]["base_model"]) == (None, "seedling")


async def test_a_checkpoint_without_a_journal_says_that_nobody_knows(realm: Vaulted) -> None:
    """F16, F11: what cannot be told is told as such, and the page shows the rest."""
    (realm.paths.current_model / realm.names["first"] / JOURNAL_NAME).unlink()
    told = await realm.get("/checkpoint-data/5/lineage")
    assert (told["known"], told["quests"], told["since"]) == (False, [], None)
    assert "journal" in told["problem"]


async def test_a_deletion_is_told_first_and_done_on_the_very_name(realm: Vaulted) -> None:
    """A29, A1: 5 is not 50; what is deleted has left ledger, catalog and disk, and HEAD never goes."""
    name = realm.names["first"]
    dry = (await realm.post("/checkpoint-data/5/delete", {})).body
    assert (dry["dry_run"], dry["deleted"], dry["confirm"], dry["held"]) == (True, False, name, None)
    assert dry["frees_bytes"] == dry["size_bytes"] > 0
    assert name in dry["text"]
    assert f"{size_text(dry['size_bytes'])} come free" in dry["text"]
    assert (realm.paths.current_model / name).is_dir()
    wrong = await realm.post("/checkpoint-data/5/delete", {"confirm": realm.names["middle"]})
    assert (wrong.status, wrong.body["error"]) == (409, "conflict")
    done = (await realm.post("/checkpoint-data/5/delete", {"confirm": name})).body
    assert done["deleted"] is True
    assert not (realm.paths.current_model / name).exists()
    assert (await realm.get("/vault/list?type=checkpoint"))["total"] == 2
    assert (await realm.get("/ledger/summary"))["count"] == 2
    assert (await realm.post("/checkpoint-data/5/delete", {"confirm": name})).status == 404
    events = realm.daemon._saga.latest_events(5)
    assert [event.kind for event in events if name in event.message] == ["pruned"]


async def test_what_is_held_says_by_what_and_stays(still: Vaulted) -> None:
    for which, word in (("last", "HEAD"), ("middle", "best")):
        name = still.names[which]
        dry = (await still.post(f"/checkpoint-data/{name}/delete", {})).body
        assert dry["held"]["level"] == "protected"
        assert word in dry["held"]["reason"] or which == "middle"
        refused = await still.post(f"/checkpoint-data/{name}/delete", {"confirm": name})
        assert refused.status == 409
        assert (still.paths.current_model / name).is_dir()


async def test_the_browser_finds_storage_and_the_old_names_of_the_saga_on_its_own_port(still: Vaulted) -> None:
    """F15, F22: 8081 is no port of the page's; programs for the first version ask for the chronicle."""
    assert (await still.get("/api/storage"))["strongholds"] == (await still.get("/api/storage/details"))["strongholds"]
    assert await still.get("/chronicle?limit=5") == await still.get("/saga?limit=5")
    assert (await still.get("/chronicle/stats"))["by_category"] == (await still.get("/saga/stats"))["by_category"]


async def test_what_an_errand_relies_on_is_not_deleted(still: Vaulted) -> None:
    folder = still.paths.current_model / still.names["first"]
    with still.daemon.treasury.holding(folder, "It is being exported."):
        assert (await still.post("/checkpoint-data/5/delete", {})).body["held"]["reason"] == "It is being exported."
    assert (await still.post("/checkpoint-data/5/delete", {})).body["held"] is None


async def test_a_checkpoint_is_read_again_and_the_result_is_shown(realm: Vaulted) -> None:
    begun = await realm.post("/checkpoint-data/5/verify", {})
    assert (begun.status, begun.body["kind"], begun.body["checkpoint"]) == (200, "verify", realm.names["first"])
    assert (await realm.post("/checkpoint-data/7/verify", {})).status == 409
    ended = await realm.errand_over()
    assert (ended["state"], ended["result"]["problems"]) == ("done", [])
    assert ended["done_bytes"] == ended["total_bytes"] > 0
    assert (await realm.get("/checkpoint-data/5"))["verification"]["verified_at"] is not None

    def told() -> list[str]:
        return [event.kind for event in realm.daemon._saga.latest_events(9) if event.kind.startswith("errand_")]

    await wait_until_async(lambda: told() == ["errand_begun", "errand_done"], message="the end is not told")


async def test_rot_that_a_reading_finds_is_the_scrubbers_to_act_on(realm: Vaulted) -> None:
    """A30: a file of the right size with other bytes is found, told, and the checkpoint set aside by the next round."""
    file = realm.paths.current_model / realm.names["first"] / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[0] ^= 1
    file.write_bytes(raw)
    await realm.post("/checkpoint-data/5/verify", {})
    ended = await realm.errand_over()
    assert ended["result"]["problems"] == ["model.safetensors was altered"]
    assert (await realm.get("/checkpoint-data/5"))["verification"]["problems"] == ["model.safetensors was altered"]
    await realm.daemon._scrubber.round(datetime.now(UTC))
    assert (await realm.get("/checkpoint-data/5"))["found"] is False


async def test_an_export_is_told_first_and_then_made(realm: Vaulted) -> None:
    name = realm.names["first"]
    dry = (await realm.post("/checkpoint-data/5/export", {})).body
    target = realm.paths.exports / name
    assert (dry["target"], dry["refusal"], dry["merged"]) == (str(target), None, False)
    assert "optimizer.pt" not in dry["files"]
    assert not target.exists()
    begun = (await realm.post("/checkpoint-data/5/export", {"confirm": name})).body
    assert begun["errand"]["kind"] == "export"
    ended = await realm.errand_over()
    assert ended["state"] == "done"
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()) == dry["files"]
    again = (await realm.post("/checkpoint-data/5/export", {})).body
    assert "exists already" in again["refusal"]
    await realm.post("/checkpoint-data/5/export", {"confirm": name})
    assert (await realm.errand_over())["state"] == "failed"


async def test_a_rewind_is_told_first_then_done_while_the_realm_is_up_and_undone_again(realm: Vaulted) -> None:
    """F13: HEAD, branch, lanes, report and lineage tell the new past, and the way back is open."""
    first, middle, last = (realm.names[which] for which in ("first", "middle", "last"))
    dry = (await realm.post("/checkpoint-data/5/rewind", {})).body
    assert [quest["file"] for quest in dry["changes"]["undone"]] == [f"{HOSTILE}.jsonl", "third.jsonl"]
    assert dry["changes"]["left_behind"] == [middle, last]
    assert "2 quests are undone" in dry["text"]
    assert CheckpointStore(realm.paths.current_model).head() == last
    assert (await realm.post("/checkpoint-data/5/rewind", {"confirm": last})).status == 409
    await realm.post("/checkpoint-data/5/rewind", {"confirm": first, "requeue": True})
    ended = await realm.errand_over()
    assert ended["state"] == "done", ended["text"]
    assert CheckpointStore(realm.paths.current_model).head() == first
    assert (realm.daemon.report.step, realm.daemon.report.checkpoint) == (5, first)
    assert realm.daemon.board.counts()["total_queued"] == 2
    assert (await realm.get("/vault/list?type=checkpoint&name=checkpoint-15"))["total"] == 0
    lineage = await realm.get("/checkpoint-data/5/lineage")
    (child,) = lineage["children"]
    assert (child["name"], child["branch"] is not None) == (middle, True)
    address = f"{child['branch']}:{last}"
    told = await realm.get(f"/checkpoint-data/{address}")
    assert (told["name"], told["branch"], told["comparison"]) == (last, child["branch"], None)
    assert "left it behind" in told["protection"]["reason"] or told["protection"]["level"] == "guarded"
    back = (await realm.post(f"/checkpoint-data/{address}/rewind", {})).body
    assert back["changes"]["redone"] == [f"{HOSTILE}.jsonl", "third.jsonl"]
    await realm.post(f"/checkpoint-data/{address}/rewind", {"confirm": back["confirm"]})
    assert (await realm.errand_over())["state"] == "done"
    assert CheckpointStore(realm.paths.current_model).head() == last
    assert (await realm.get(f"/checkpoint-data/{address}"))["branch"] is None


async def test_what_no_checkpoint_holds_yet_is_told_before_a_rewind_too(realm: Vaulted) -> None:
    """F13: the page showed step 18, and to go back from it was told as nothing to undo, or as from step 15."""
    last = realm.names["last"]
    assert (await realm.post(f"/checkpoint-data/{last}/rewind", {})).body["changes"] is None
    report = realm.daemon.report
    past = Past(realm.paths, steps=15, cursor=Cursor(ordinal=4))
    fourth = past.begin("fourth")
    report.step = 18
    report.quest = QuestInBattle(fourth, "fourth.jsonl", 20, steps=5, epochs=1, first_step=15, rows_learned=12)
    for requeue in (False, True):
        dry = (await realm.post(f"/checkpoint-data/{last}/rewind", {"requeue": requeue})).body
        assert f"from step 18 to step 15 ({last})" in dry["text"]
        (undone,) = dry["changes"]["undone"]
        assert (undone["file"], undone["rows_undone"], undone["rows_kept"]) == ("fourth.jsonl", 12, 0)
    past.step_on(2)
    inside = past.save(loss=0.3)
    for requeue in (False, True):
        dry = (await realm.post(f"/checkpoint-data/{inside}/rewind", {"requeue": requeue})).body
        assert f"from step 18 to step 17 ({inside})" in dry["text"]
        (undone,) = dry["changes"]["undone"]
        assert (undone["rows_undone"], undone["rows_kept"]) == (4, 8)


async def test_a_quest_whose_file_is_gone_before_its_end_is_not_complete_after_a_rewind(realm: Vaulted) -> None:
    """F13, F4: gold was paid for a quest of which two steps of five are learned, and which can never be ended."""
    for path in realm.paths.lane("recently_completed").iterdir():
        if path.name.startswith(HOSTILE):
            path.unlink()
    assert realm.daemon.report.quests_completed == 3
    middle = realm.names["middle"]
    await realm.post(f"/checkpoint-data/{middle}/rewind", {"confirm": middle, "requeue": True})
    ended = await realm.errand_over()
    assert (ended["state"], ended["result"]["undone"][0]["found"]) == ("done", False)
    assert realm.daemon.report.quests_completed == 1


async def test_what_is_beyond_the_limits_is_told_first_and_deleted_when_that_is_confirmed(realm: Vaulted) -> None:
    realm.paths.config_file.write_text("hyperparams: {max_length: 256}\nretention: {resumable: 1, min_age_hours: 0}\n")
    dry = (await realm.post("/vault/prune", {})).body
    assert (dry["dry_run"], [each["name"] for each in dry["deleted"]]) == (True, [realm.names["first"]])
    assert {each["name"]: each["protection"] for each in dry["kept"]}[realm.names["last"]] == "protected"
    assert (await realm.post("/vault/prune", {"confirm": "yes"})).status == 400
    done = (await realm.post("/vault/prune", {"confirm": "prune"})).body
    assert (done["dry_run"], len(done["deleted"])) == (False, 1)
    assert not (realm.paths.current_model / realm.names["first"]).exists()


async def test_what_lies_on_a_branch_can_be_deleted_too(realm: Vaulted) -> None:
    await realm.post("/checkpoint-data/5/rewind", {"confirm": realm.names["first"]})
    await realm.errand_over()
    told = await realm.get("/checkpoint-data/15")
    done = await realm.post("/checkpoint-data/15/delete", {"confirm": told["address"]})
    assert done.body["deleted"] is True
    assert (await realm.get("/checkpoint-data/15"))["found"] is False
    assert (await realm.get("/checkpoint-data/7"))["found"] is True


async def test_nobody_goes_back_while_the_disk_holds_everything(realm: Vaulted) -> None:
    realm.daemon.reception.checkpoint_desk._going_back._held = lambda: "the disk is full"
    await realm.post("/checkpoint-data/5/rewind", {"confirm": realm.names["first"]})
    ended = await realm.errand_over()
    assert (ended["state"], "the disk is full" in ended["text"]) == ("failed", True)
    assert read_history(realm.paths.current_model / JOURNAL_NAME).seq == 4


async def test_open_pages_are_told_that_the_hero_went_back(realm: Vaulted) -> None:
    """The turn wrote that with a saga of its own, of which this process heard nothing: curves, exams and the log still
    showed what was undone. What a page then asks for is as it will stay."""
    waiting: list[int] = []
    leave = realm.daemon._saga.subscribe(
        lambda event: waiting.append(realm.daemon.board.counts()["total_queued"]) if event.kind == "rewound" else None
    )
    async with realm.visitor.session.get(f"{realm.url}/api/events/stream") as stream:
        await realm.post("/checkpoint-data/5/rewind", {"confirm": realm.names["first"], "requeue": True})
        heard = b""
        async with asyncio.timeout(10):
            while b"errand_done" not in heard:
                heard += await stream.content.readany()
    leave()
    told = [json.loads(line[6:]) for line in heard.decode().splitlines() if line.startswith('data: {"id"')]
    assert [event["kind"] for event in told] == ["errand_begun", "rewound", "errand_done"]
    assert told[1]["message"].startswith("The hero went back to step 5")
    assert waiting == [2]


async def test_nobody_moves_quests_by_hand_while_the_hero_goes_back(
    realm: Vaulted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rewind moves files without the board's lock: one that a person moved in those seconds went to two places."""
    (third,) = (path for path in realm.paths.lane("recently_completed").glob("third*.jsonl"))
    take(realm.daemon.board, "waits.jsonl")
    may_go_on = threading.Event()
    moved, real = threading.Event(), turning._move_quests

    def slowly(*what: Any) -> None:
        moved.set()
        assert may_go_on.wait(20)
        real(*what)

    monkeypatch.setattr(turning, "_move_quests", slowly)
    await realm.post("/checkpoint-data/5/rewind", {"confirm": realm.names["first"], "requeue": True})
    await asyncio.to_thread(moved.wait, 20)
    for wish, body in (("move", {"priority": "high"}), ("remove", {}), ("retry", {})):
        refused = await realm.post(f"/api/quests/{wish}", {"quest": "waits.jsonl", **body})
        assert (refused.status, refused.body["error"]) == (409, "conflict")
        assert refused.body["message"].startswith("The hero is going back to an earlier checkpoint")
    may_go_on.set()
    assert (await realm.errand_over())["state"] == "done"
    assert not third.exists()
    assert (await realm.post("/api/quests/move", {"quest": "waits.jsonl", "priority": "high"})).status == 200


async def test_a_turn_waits_for_whoever_moves_a_quest_by_hand(realm: Vaulted, monkeypatch: pytest.MonkeyPatch) -> None:
    going_back = realm.daemon.reception.going_back
    order: list[str] = []
    real = going_back._turn

    def turn(*what: Any) -> Any:
        order.append("turned")
        return real(*what)

    monkeypatch.setattr(going_back, "_turn", turn)
    with going_back.by_hand():
        await realm.post("/checkpoint-data/5/rewind", {"confirm": realm.names["first"]})
        await wait_until_async(going_back.alone.locked, message="the turn does not begin")
        for _ in range(20):  # threads take their work in order
            await asyncio.to_thread(lambda: None)
        order.append("moved")
    assert (await realm.errand_over())["state"] == "done"
    assert order == ["moved", "turned"]


async def break_off(realm: Vaulted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go back to the first checkpoint, on a disk that refuses once the journal has turned."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(turning, "_move_quests", refuse)
        await realm.post("/checkpoint-data/5/rewind", {"confirm": realm.names["first"], "requeue": True})
        assert (await realm.errand_over())["state"] == "failed"
    assert is_turning(realm.paths)


async def test_who_moves_quests_by_hand_may_do_so_after_a_turn_that_failed(
    realm: Vaulted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every move was refused from then on, until the realm started anew."""
    going_back = realm.daemon.reception.going_back
    standing = going_back._standing
    await break_off(realm, monkeypatch)
    with going_back.by_hand():
        pass
    assert going_back._standing is standing, "who waits for the turn before and who comes later wait for one lock"


def must_stand_at_the_first(realm: Vaulted) -> None:
    assert not is_turning(realm.paths)
    assert (realm.daemon.report.checkpoint, realm.daemon.report.step) == (realm.names["first"], 5)
    assert realm.daemon.board.counts()["total_queued"] == 2


async def test_a_turn_that_broke_off_is_finished_before_a_trainer_starts(
    realm: Vaulted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has turned, the lanes have not: quests were learned on that, and set aside with the next start."""
    await break_off(realm, monkeypatch)
    await realm.daemon._begin()
    must_stand_at_the_first(realm)


async def test_a_turn_that_broke_off_is_finished_while_training_is_stopped(
    realm: Vaulted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the start of a trainer took it up: the page told of the old step until then, and the house was kept
    on lanes that were half moved."""
    await realm.daemon._supervisor.retire("stopped")
    await break_off(realm, monkeypatch)
    assert realm.daemon.report.step == 15
    await realm.daemon._keep_house()
    must_stand_at_the_first(realm)
    assert not realm.daemon._supervisor.wanted


async def test_the_house_is_not_kept_while_a_turn_cannot_be_finished(
    realm: Vaulted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of lanes that are half moved nothing is to be concluded."""
    await break_off(realm, monkeypatch)
    kept: list[object] = []

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def keep(*_: object, **__: object) -> None:
        kept.append(1)

    with monkeypatch.context() as full:
        full.setattr(turning, "_move_quests", refuse)
        full.setattr(realm.daemon._housekeeper, "keep", keep)
        await realm.daemon._keep_house()
        assert (kept, is_turning(realm.paths)) == ([], True)
    # It is wanted as before: its start has the turn finished too.
    assert realm.daemon._supervisor.wanted
    await realm.daemon._begin()
    must_stand_at_the_first(realm)


async def test_who_goes_back_again_to_where_a_turn_broke_off_stands_there(
    realm: Vaulted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier turn was finished on the way, nothing was left to be undone, and nobody was told."""
    await break_off(realm, monkeypatch)
    assert await realm.daemon.reception.going_back.go_back(realm.names["first"], requeue=True) is None
    must_stand_at_the_first(realm)


async def test_the_beginning_is_gone_back_to_like_any_checkpoint(realm: Vaulted) -> None:
    """Its dry run promised it, and the errand found no checkpoint of that name."""
    realm.daemon._bench.ran_out = RanOut(ordinal=2, quest_step=1, tokens=64)
    realm.daemon._supervisor._furthest = (9, 9)
    await realm.post("/checkpoint-data/base/rewind", {"confirm": "base"})
    ended = await realm.errand_over()
    assert ended["state"] == "done", ended["text"]
    assert CheckpointStore(realm.paths.current_model).head() is None
    # Ordinals are given anew: what was charged to the old ones hits another quest.
    assert (realm.daemon._bench.ran_out, realm.daemon._supervisor._furthest) == (None, (0, 0))
