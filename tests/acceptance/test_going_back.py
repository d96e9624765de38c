"""Going back from the page, in the middle of a fight: a real realm, a real trainer, and weights that follow."""

from __future__ import annotations

from typing import Any

from arena.supervision.position_file import Phase
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.replaying import tensor_hashes
from vault.checkpoints import CheckpointStore

ROWS = 2400


def go_back(realm: LivingRealm, name: str, *, requeue: bool) -> dict[str, Any]:
    """As the page does it: told first, then confirmed; the errand once it has ended."""
    dry = realm.http("POST", f"/checkpoint-data/{name}/rewind", {"requeue": requeue}, site="tavern")
    assert dry.status_code == 200, dry.text
    asked = {"requeue": requeue, "confirm": dry.json()["confirm"]}
    begun = realm.http("POST", f"/checkpoint-data/{name}/rewind", asked, site="tavern")
    assert begun.status_code == 200, begun.text

    def ended() -> dict[str, Any] | None:
        told: dict[str, Any] = realm.http("GET", "/vault/errands", site="tavern").json()
        return None if told["running"] else told["ended"][0]

    found = realm.wait(ended, "the end of the errand")
    assert found is not None
    assert found["state"] == "done", found["text"]
    return found


def test_the_hero_goes_back_while_he_fights_and_fights_on(found_realm: Founder, nursery: Nursery) -> None:
    """F13, F3: the trainer saves and rests, the quest under way waits again, and what is learned then is learned as if
    nothing had been; what was left behind is kept whole."""
    realm = found_realm(nursery=nursery, gates={"level": "quick"})
    realm.up()
    realm.drop("first", 200)
    realm.wait_until_done(1)
    first = CheckpointStore(realm.paths.current_model).head()
    assert first is not None
    before = tensor_hashes(realm.paths.current_model / first)
    realm.drop("second", ROWS)
    realm.wait_in_quest(2)
    done = go_back(realm, first, requeue=True)
    assert [quest["file"] for quest in done["result"]["undone"]] == ["second.jsonl"]
    (left_behind,) = done["result"]["left_behind"]
    here = realm.wait_in_quest(2)
    assert here.phase in (Phase.STEPPING, Phase.WAITING)
    assert tensor_hashes(realm.paths.current_model / first) == before
    realm.wait_until_done(2)
    assert realm.taught() == [("first.jsonl", "learned", 200), ("second.jsonl", "learned", ROWS)]
    lineage = realm.http("GET", f"/checkpoint-data/{first}/lineage", site="tavern").json()
    assert {node["branch"] is None for node in lineage["children"]} == {True, False}
    assert left_behind in {node["name"] for node in lineage["children"]}
    assert realm.stop() == 0
