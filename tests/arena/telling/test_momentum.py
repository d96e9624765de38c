"""Why nothing is happening: each cause is told while it holds and by its owner's words, the weightiest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from arena.blockade import Blockade
from arena.command.battle_control import Wish, Wishes
from arena.telling.live_report import LiveReport
from arena.telling.momentum import GuildFacts, QuestFacts, TrainerFacts, momentum
from core.saga import Saga
from tests.arena.quest_makers import NOW

NO_INBOX: dict[str, Any] = {"waiting": 0, "left_lying": 0, "named": [], "blocked": None}
LATER = NOW + timedelta(minutes=3)


def told(state: str = "idle", reason: str | None = None, **facts: Any) -> dict[str, Any]:
    report = LiveReport(
        hero="seedling", hero_title="Seedling", model_name="seedling", context_window=256, since=NOW, state=state,
        reason=reason,
    )  # fmt: skip
    quests = {"waiting": 0, "running": None, "strikes": 0, "failed": 0, "measuring": None, "missing_tokenizer": None}
    given = {
        "wishes": Wishes(),
        "disk": None,
        "trainer": TrainerFacts(hold=None, next_start_at=None),
        "quests": QuestFacts(**{**quests, **facts.pop("quests", {})}),
        "guild": GuildFacts(enabled=False, next_at=None),
        "inbox": NO_INBOX,
        "blockades": [],
    }
    return momentum(report=report, **{**given, **facts})


def kinds(answer: dict[str, Any]) -> list[str]:
    return [cause["kind"] for cause in answer["causes"]]


def test_while_a_quest_is_fought_there_is_nothing_to_tell() -> None:
    answer = told("training", quests={"running": "x.jsonl", "waiting": 3})
    assert answer == {"moving": True, "state": "training", "causes": []}


def test_an_empty_board_asks_for_a_file_unless_the_guild_writes_quests() -> None:
    """F17: "generate data" was asked for while that went on by itself."""
    (cause,) = told()["causes"]
    assert (cause["kind"], cause["weight"]) == ("board_empty", "halt")
    assert [remedy["action"] for remedy in cause["remedies"]] == ["drop_file", "open_settings"]
    (cause,) = told(guild=GuildFacts(enabled=True, next_at=LATER))["causes"]
    assert (cause["kind"], cause["weight"], cause["until"]) == ("board_empty", "busy", LATER.isoformat())
    assert cause["remedies"] == []


def test_a_pause_tells_since_when_and_why_and_how_it_ends() -> None:
    wish = Wish(reason="the oven is on", at=NOW)
    (cause,) = told("paused", wishes=Wishes(pause=wish))["causes"]
    assert cause["message"] == "Training is paused: the oven is on"
    assert (cause["since"], cause["remedies"]) == (NOW.isoformat(), [{"action": "resume", "command": "realm resume"}])
    both = told("stopped", wishes=Wishes(pause=wish, stop=Wish(reason="night", at=NOW)))
    assert [cause["message"] for cause in both["causes"]] == ["Training is stopped: night"]
    asked = told("training", wishes=Wishes(pause=wish))
    assert asked["moving"]
    assert asked["causes"][0]["message"].startswith("Training pauses after this step")


def test_a_trainer_that_waits_by_itself_says_for_what() -> None:
    """It cannot read its quest, or write its journal: neither a wish nor the disk's watcher knows of that."""
    (cause,) = told("paused", "the journal cannot be written")["causes"]
    assert (cause["weight"], cause["message"]) == ("halt", "Training waits: the journal cannot be written")
    (cause,) = told("stopped", "it was interrupted by SIGTERM")["causes"]
    assert (cause["message"], cause["remedies"]) == ("The trainer has ended: it was interrupted by SIGTERM", [])
    paused = told("paused", "disk: full", disk=("disk: full", NOW))
    assert kinds(paused) == ["disk"]


def test_a_disk_that_is_full_comes_before_what_it_holds_up(saga: Saga) -> None:
    held = Blockade(saga, "school")
    held.message, held.since = "The guild makes no quests for now: no room", NOW
    answer = told(
        "paused", disk=("disk: 12 MB are free", NOW), blockades=[held, Blockade(saga, "gate")],
        quests={"waiting": 2, "failed": 1},
    )  # fmt: skip
    assert kinds(answer) == ["disk", "school_blocked", "failed_quests"]
    assert answer["causes"][0]["message"] == "Training waits for the disk: 12 MB are free"
    assert answer["causes"][1]["since"] == NOW.isoformat()


async def test_a_blockade_knows_since_when_it_holds(saga: Saga) -> None:
    held = Blockade(saga, "gate")
    assert held.since is None
    await held.raise_up("Quests wait")
    first = held.since
    assert first is not None
    await held.raise_up("Quests still wait")
    assert held.since == first
    await held.lift("On it goes")
    assert (held.since, held.message) == (None, None)


def test_a_trainer_that_died_tells_when_the_next_one_starts_and_who_is_to_blame() -> None:
    answer = told(
        "crashed", "it was killed by signal 9.", trainer=TrainerFacts(hold=None, next_start_at=LATER),
        quests={"running": "evil quest.jsonl", "strikes": 2},
    )  # fmt: skip
    assert kinds(answer) == ["trainer_died", "strikes"]
    died, strikes = answer["causes"]
    assert died["message"] == "The trainer died: it was killed by signal 9; another one is started after a pause"
    assert died["until"] == LATER.isoformat()
    assert strikes["remedies"][0]["command"] == "realm quest show 'evil quest.jsonl'"


def test_a_trainer_that_is_held_from_outside_says_so_while_it_seems_to_train() -> None:
    hold = "Trainer 77 is stopped by a signal (SIGSTOP, Ctrl-Z)"
    (cause,) = told("training", hold, trainer=TrainerFacts(hold=hold, next_start_at=None))["causes"]
    assert (cause["kind"], cause["weight"], cause["message"]) == ("trainer_held", "halt", hold)


def test_quests_that_wait_for_a_proof_or_a_model_are_told_of() -> None:
    (cause,) = told(quests={"waiting": 1, "measuring": "big.jsonl"})["causes"]
    assert (cause["kind"], cause["weight"]) == ("measuring", "busy")
    (cause,) = told(quests={"waiting": 1, "measuring": "big.jsonl", "missing_tokenizer": "models/dio"})["causes"]
    assert (cause["kind"], cause["weight"]) == ("no_model", "halt")
    assert "models/dio" in cause["message"]
    assert told(quests={"waiting": 1})["causes"] == [], "it is handed over in a moment"


def test_what_passes_by_itself_says_what_it_is() -> None:
    (cause,) = told("starting", "waiting for trainer 41 to save and exit")["causes"]
    assert cause["message"] == "The trainer starts: waiting for trainer 41 to save and exit"
    assert cause["weight"] == "busy"
    assert kinds(told("saving")) == ["saving"]
    assert kinds(told("evaluating")) == ["evaluating"]


def test_files_that_are_left_lying_are_named() -> None:
    lying = {**NO_INBOX, "left_lying": 2, "named": [{"file": "a.png", "reason": "not a quest"}]}
    (cause,) = told("training", inbox=lying)["causes"]
    assert cause["message"] == "2 files in the inbox are not taken; a.png: not a quest"
    unknown = {**NO_INBOX, "left_lying": None}
    assert told("training", inbox=unknown)["causes"] == []
