"""`realm rewind`, `realm hero` and `realm ledger adopt` as a user types them, on a realm that has really trained."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery


def train(realm: LivingRealm, name: str, rows: int, completed: int) -> None:
    """One quest from drop to seal, so that a checkpoint stands at its end."""
    realm.drop(name, rows, start=1000 * completed)
    realm.wait_until_done(completed)


def milestones(realm: LivingRealm) -> list[int]:
    return [int(path.name.split("-")[1]) for path in realm.checkpoints()]


def test_a_hero_goes_back_leaves_for_another_one_and_returns_as_he_was(
    found_realm: Founder, nursery: Nursery, tmp_path: Path
) -> None:
    """B31, F3: settings, model, ledger and status name one hero and one step, whatever was done to them."""
    # Every second step is a milestone, and so a place to go back to.
    realm = found_realm(nursery=nursery, save_steps=2)
    realm.up()
    train(realm, "first", 16, 1)
    refused = realm.cli("rewind", "2")
    assert refused.returncode == 1
    assert "realm down" in refused.stderr
    train(realm, "second", 24, 2)
    assert realm.stop() == 0
    assert milestones(realm) == [2, 4, 5]
    first_life = realm.weights()

    done = realm.cli_json("rewind", "2", "--requeue")
    assert (done["step"], done["from_step"]) == (2, 5)
    assert [(quest["file"], quest["rows_undone"]) for quest in done["undone"]] == [("second.jsonl", 24)]
    assert milestones(realm) == [2]
    assert [row["step"] for row in realm.cli_json("ledger", "list")] == [2]
    assert realm.cli_json("status")["training"].get("current_step") is None

    realm.up()
    ready = realm.event_since_up("trainer_ready")
    assert ready is not None
    assert "at step 2," in ready["message"]
    realm.wait_until_done(2)
    # The same quest in the same place of the history: the weights of the first life.
    assert realm.weights() == first_life
    assert realm.http("GET", "/api/training/status").json()["current_step"] == 5
    assert realm.stop() == 0

    away = realm.cli_json("hero", "use", "seedling")
    assert (away["hero"], realm.checkpoints()) == ("seedling", [])
    listing = realm.cli("hero", "list")
    assert "* seedling" in listing.stdout
    assert f"archive/{away['archived']} (step 5)" in listing.stdout
    back = realm.cli_json("hero", "use", "sprite")
    assert (back["restored"], back["step"]) == (away["archived"], 5)
    assert realm.weights() == first_life

    elsewhere = tmp_path / "checkpoint-700"
    shutil.copytree(realm.checkpoints()[0], elsewhere)
    again = realm.cli("ledger", "adopt", str(elsewhere))
    assert again.returncode == 1
    assert "here already" in again.stderr
    assert "Traceback" not in again.stderr + refused.stderr
