"""From two commands to trained quests: what a newcomer sees, stops and starts again."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.paths import CHECKOUT
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm

SAMPLES = sorted((CHECKOUT / "examples" / "quests").glob("*.jsonl"))
COMPLETED = re.compile(r"(?P<stem>.+)_\d{8}_\d{6}\.jsonl")
LONG_ROWS = 4000
MEGABYTE = 1 << 20
RSS_LIMIT = 120 * MEGABYTE
SITES = {"tavern": "tavern", "vault": "vault_keeper", "watchtower": "watchtower"}


@pytest.fixture(scope="module")
def launched(found_shared_realm: Founder) -> LivingRealm:
    return found_shared_realm()


@pytest.fixture(scope="module")
def seconds_to_first_page(launched: LivingRealm) -> float:
    began = time.monotonic()
    launched.launch()
    launched.wait(
        lambda: launched.services() and launched.http("GET", "/", site="tavern").status_code == 200, "the first page"
    )
    return time.monotonic() - began


@pytest.fixture(scope="module")
def realm(launched: LivingRealm, seconds_to_first_page: float) -> LivingRealm:
    """A realm that has learned the sample quests, dropped as `realm quest add` does it."""
    realm = launched
    answer = realm.cli("quest", "add", *map(str, SAMPLES))
    assert answer.returncode == 0, answer.stderr
    realm.wait_until_done(len(SAMPLES))
    return realm


def test_sample_quests_end_completed_under_their_name_and_time(realm: LivingRealm) -> None:
    """C4: each keeps its sidecar, and with it its story."""
    found = {match["stem"] for path in realm.lane("recently_completed") if (match := COMPLETED.fullmatch(path.name))}
    assert found == {sample.stem for sample in SAMPLES}
    for sample in SAMPLES:
        quest = realm.quest(sample.stem)
        assert quest is not None
        assert quest.path.read_bytes() == sample.read_bytes()
        assert quest.record.outcome == "learned"
        assert quest.record.rows_learned == quest.record.rows == _rows_of(sample)
        assert quest.record.loss_last is not None
    assert {claim.name for claim in realm.claims()} == {sample.name for sample in SAMPLES}


def test_the_newest_checkpoint_is_in_the_ledger_wherever_one_looks(realm: LivingRealm) -> None:
    """A8: a checkpoint saved when the board runs empty is recorded like any other."""
    newest = realm.checkpoints()[-1].name
    latest = realm.cli_json("ledger", "list")[0]
    assert latest["canonical_name"] == newest
    assert latest["path"] == str(realm.paths.current_model / newest)
    assert latest["train_loss"] is not None
    assert latest["total_examples_trained"] == sum(claim.rows for claim in realm.claims())
    over_http = realm.http("GET", "/api/ledger").json()
    assert [entry["canonical_name"] for entry in over_http["checkpoints"]] == [newest]
    assert realm.http("GET", f"/api/ledger/{latest['step']}").json()["canonical_name"] == newest
    index = (realm.paths.status / "checkpoint_ledger.json").read_text()
    assert newest in index
    assert (realm.checkpoints()[-1] / ".ledger.json").is_file()
    assert realm.cli("ledger", "verify").returncode == 0


def test_every_site_is_healthy_and_the_page_shows_the_battle(realm: LivingRealm) -> None:
    for site, service in SITES.items():
        health = realm.http("GET", "/health", site=site).json()
        assert (health["status"], health["service"]) == ("healthy", service)
    assert realm.http("GET", "/", site="tavern").headers["content-type"].startswith("text/html")
    game = realm.http("GET", "/api/game", site="tavern").json()
    assert game["hero"]["xp"] == realm.weights()[0]
    assert game["queue"]["completed"] == len(SAMPLES)


def test_prometheus_is_told_what_was_learned(realm: LivingRealm) -> None:
    """Every row and step of this session, from the trainer's own words."""
    told = _metrics(realm)
    assert told["realm_training_rows_total"] == sum(claim.rows for claim in realm.claims())
    assert told["realm_training_steps_total"] == told["realm_training_step"] == realm.weights()[0]
    assert told["realm_training_tokens_total"] > told["realm_training_rows_total"]
    assert told["realm_quests_learned_total"] == len(SAMPLES)
    assert told["realm_trainer_ready"] == told["realm_trainer_starts_total"] == 1
    assert told["realm_trainer_deaths_total"] == 0
    assert told["realm_trainer_resident_memory_bytes"] > told["process_resident_memory_bytes"] > 1e7


def test_the_status_has_its_fields_and_says_the_same_everywhere(realm: LivingRealm) -> None:
    """F3: the status names its writer and until when it holds. F4: at rest the numbers stay. F5: progress exists."""
    realm.wait(lambda: realm.status()["status"] == "idle", "an idle realm")
    file = realm.status()
    known = ("heartbeat_at", "valid_until", "pid", "current_step", "loss", "learning_rate", "model_name", "timestamp")
    assert [key for key in known if file[key] is None] == []
    unknown = ("validation_loss", "val_train_gap", "total_steps", "batch_step", "progress_percent", "current_file")
    assert [key for key in unknown if file[key] is not None] == []
    assert file["batch_queue_size"] == 0
    assert file["pid"] == realm.pid
    step, _ = realm.weights()
    told: dict[str, Any] = realm.cli_json("status")
    over_http = realm.http("GET", "/api/training/status").json()
    for view in (file, told["training"], over_http):
        assert (view["status"], view["current_step"], view["loss"]) == ("idle", step, file["loss"])
    assert told["realm"] == "up"
    assert told["checkpoint"]["canonical_name"] == realm.checkpoints()[-1].name
    assert told["queue"]["completed"] == len(SAMPLES)
    assert f"step        {step}" in realm.cli("status").stdout


def test_the_newest_checkpoint_loads_with_transformers_and_generates(realm: LivingRealm) -> None:
    """Tokenizer and template are inside; nothing of ours is needed to use the model."""
    folder: Path = realm.checkpoints()[-1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    chat = [{"role": "user", "content": "hey"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]
    assert "<|im_start|>assistant" in tokenizer.decode(answer[0])


def test_the_control_process_stays_small_and_never_loads_torch(
    realm: LivingRealm,
    seconds_to_first_page: float,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Law 5 and DESIGN section 10: at most 120 MB after it has served, judged, queued and sealed."""
    figures = {"seconds to the first page": seconds_to_first_page}
    for site, page in (("tavern", "/api/game"), ("vault", "/api/ledger"), ("watchtower", "/api/vision")):
        assert realm.http("GET", page, site=site).status_code == 200
    realm.wait(lambda: realm.status()["status"] == "idle", "an idle realm")

    control = psutil.Process(realm.pid)
    trainer = realm.trainer()
    assert trainer is not None
    assert _loads_torch(trainer.pid), "this way of looking does not see torch"
    others = [control, *(child for child in control.children() if child != trainer)]
    assert [process.cmdline() for process in others if _loads_torch(process.pid)] == []
    figures["control process, MB"] = control.memory_info().rss / MEGABYTE
    assert control.memory_info().rss < RSS_LIMIT

    began, busy = time.monotonic(), sum(control.cpu_times()[:2])
    # The daemon's own heartbeat is the clock: it comes every few seconds.
    beat = realm.status()["heartbeat_at"]
    realm.wait(lambda: realm.status()["heartbeat_at"] > beat, "the next heartbeat")
    figures["idle CPU, %"] = 100 * (sum(control.cpu_times()[:2]) - busy) / (time.monotonic() - began)
    began = time.monotonic()
    assert realm.cli("--help").returncode == 0
    figures["seconds of realm --help"] = time.monotonic() - began

    # Times depend on what else the machine does: they are told here and held by benchmarks.
    for name, value in figures.items():
        record_property(name, round(value, 3))
    with capsys.disabled():
        sys.stdout.write("\n" + ", ".join(f"{name}: {value:.2f}" for name, value in figures.items()) + "\n")


def test_ctrl_c_in_mid_quest_saves_and_the_next_start_goes_on_at_that_step(realm: LivingRealm) -> None:
    """F4: numbers survive a restart, also while it loads. F5: progress moves. B13: the queue is not awaited."""
    done = len(realm.lane("recently_completed"))
    ordinal = realm.history().next_ordinal
    realm.drop("interrupted", LONG_ROWS, start=10_000)
    realm.drop("waiting", 40, start=30_000)
    seen: list[float] = []

    def moved() -> bool:
        percent = realm.status()["progress_percent"]
        if percent is not None and percent not in seen:
            seen.append(percent)
        return len(seen) >= 2

    realm.wait(moved, "progress that moves")
    assert seen == sorted(seen)
    assert all(0 <= percent <= 100 for percent in seen)
    before = _metrics(realm)
    assert realm.stop(signal.SIGINT) == 0
    step, _ = realm.weights()
    down = realm.cli_json("status")
    assert (down["realm"], down["training"]["current_step"], down["checkpoint"]["step"]) == ("down", step, step)
    assert (down["training"]["status"], down["training"]["last_status"]) == ("unknown", "stopped")
    assert [path.name for path in realm.lane("processing")] == ["interrupted.jsonl"]

    realm.up(awake=False)
    realm.wait(lambda: realm.status()["status"] == "starting", "the first status")
    assert realm.status()["current_step"] == step
    assert realm.http("GET", "/api/game", site="tavern").json()["hero"]["xp"] == step
    told = _metrics(realm)
    assert told["realm_training_step"] == step
    assert told["realm_quests_learned_total"] == before["realm_quests_learned_total"] == done
    assert told["realm_saga_events_total"] > before["realm_saga_events_total"]
    realm.wait_until_done(done + 2)
    assert realm.taught()[ordinal - 1 :] == [
        ("interrupted.jsonl", "learned", LONG_ROWS),
        ("waiting.jsonl", "learned", 40),
    ]
    steps = sum(claim.steps for claim in realm.claims())
    assert realm.weights()[0] == steps > step
    assert realm.stop(signal.SIGINT) == 0


def _metrics(realm: LivingRealm) -> dict[str, float]:
    """Every metric without labels."""
    families = text_string_to_metric_families(realm.http("GET", "/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def _rows_of(sample: Path) -> int:
    lines = sample.read_text(encoding="utf-8").splitlines()
    return len(lines) - ("schema_id" in json.loads(lines[0]))


def _loads_torch(pid: int) -> bool:
    """True when a process has torch's library mapped into its memory."""
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
