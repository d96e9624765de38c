"""With no file dropped at all the game plays itself: a level is mastered, and the run repeats from its seed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import SPRITE, LivingRealm
from tests.acceptance.nursery import Nursery

RECIPE: dict[str, int] = {
    "hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 24,
    "intermediate_size": 288, "max_position_embeddings": 256,
}  # fmt: skip
SELF_TAUGHT: dict[str, Any] = {
    "hyperparams": {"batch_size": 64, "learning_rate": 0.004},
    "auto_generate": {"enabled": True, "count": 1024},
    # What shows after eighty steps; four answers out of five take three times as long (`make play`).
    "curriculum": {"target_accuracy": 0.3, "min_evals_for_progression": 1},
    "inbox": {"settle_seconds": 0.1, "scan_seconds": 0.1},
}
COMPARED = 3
"""Quests of the second run."""


def examinations(realm: LivingRealm) -> dict[str, list[str | None]]:
    """What was answered, by examination."""
    parts = realm.http("GET", "/api/examinations?limit=1000", site="watchtower").json()["examinations"]
    return {
        exam_id: [
            answer["answer"]
            for answer in realm.http("GET", f"/api/examinations/{exam_id}", site="watchtower").json()["answers"]
        ]
        for exam_id in dict.fromkeys(part["exam_id"] for part in parts)
    }


def contents(realm: LivingRealm) -> list[str]:
    return [claim.content_hash for claim in realm.claims()]


def examined(realm: LivingRealm, count: int) -> bool:
    return len(realm.events("examined")) >= count


@pytest.mark.timeout(600)
def test_a_level_is_mastered_with_no_file_dropped_and_the_run_repeats_from_its_seed(
    found_realm: Founder, nursery: Nursery
) -> None:
    """B20, C9, E2, E13, E17: quests by way of the inbox, answers that can be read, and the same again after a kill."""
    first, second = (_own(found_realm(name, nursery=nursery, **SELF_TAUGHT)) for name in ("first", "second"))
    first.up()
    first.wait(lambda: first.events("level_mastered") and examined(first, COMPARED), "a mastered level", timeout=240.0)
    state = first.http("GET", "/api/curriculum", site="watchtower").json()["skills"]["bin"]
    assert state["mastered_level"] >= 1
    assert state["accuracy_history"][0]["training_level"] == 1
    answers = examinations(first)
    assert sum(answer is not None for answer in answers["bin-1"]) == len(answers["bin-1"]) == 25
    told = first.cli_json("curriculum", "status")["skills"]["bin"]
    assert told["mastered_level"] >= 1
    assert first.events("school_blocked") == []
    first.stop()

    second.up()
    second.wait(lambda: examined(second, 2), "two examinations", timeout=240.0)
    second.kill9_daemon()
    second.up()
    second.wait(lambda: examined(second, COMPARED), "the other examinations", timeout=240.0)
    repeated = examinations(second)
    second.stop()

    assert contents(second)[:COMPARED] == contents(first)[:COMPARED]
    for number in range(1, COMPARED + 1):
        assert repeated[f"bin-{number}"] == answers[f"bin-{number}"]
    assert len(set(contents(first))) == len(contents(first)), "no quest was made twice"


def _own(realm: LivingRealm) -> LivingRealm:
    """With a hero who is as small as one can be that learns to add two digits."""
    hero = {**SPRITE, "recipe": RECIPE}
    (realm.paths.configs / "heroes" / "sprite.yaml").write_text(yaml.safe_dump(hero))
    return realm
