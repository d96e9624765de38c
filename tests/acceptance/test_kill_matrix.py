"""The kill matrix: a process dies at every crash point there is, and the final weights know nothing of it (law 3)."""

from __future__ import annotations

import ast
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from core.paths import CHECKOUT, RealmPaths
from tests.acceptance.crash_walk import STATIONS, Walk
from tests.acceptance.damages import NAMED
from tests.acceptance.nursery import Nursery
from tests.acceptance.reckoning import Dropped, differences
from tests.acceptance.undying_realm import KILLED, UndyingRealm
from tests.arena.academy import test_kills as test_kills_of_the_school
from tests.arena.annals import test_rewinding
from tests.arena.doorstep import test_intake
from tests.arena.hall import test_changing
from tests.arena.ravens import test_raven_post
from tests.arena.reading_room import test_uploading
from tests.arena.trainer import test_examination_kills
from tests.arena.trainer.healing import test_kills
from tests.core import test_db
from tests.crash_point_names import ROOMS, crash_point_names
from tests.replaying import replay_realm
from tests.vault import test_archivist, test_checkpoints, test_snapshots
from tests.vault.transfer import test_killed

# Whichever test comes first waits for the walk.
pytestmark = pytest.mark.timeout(700)

WALKED = {place.partition(":")[0] for station in STATIONS for place in station.places}
"""What the realm of `walked` passes."""

ELSEWHERE = {
    place.partition(":")[0]
    for module in (
        test_archivist,
        test_intake,
        test_changing,
        test_checkpoints,
        test_db,
        test_examination_kills,
        test_killed,
        test_kills,
        test_raven_post,
        test_kills_of_the_school,
        test_rewinding,
        test_snapshots,
        test_uploading,
    )
    for place in module.KILLED_AT
}
"""Points of verbs, and those that need what the living realm lacks: what the tests of these have a process die at."""

SAVED = {
    "model.safetensors", "tokenizer.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json",
    "journal.jsonl", "cursor.json", ".ledger.json",
}  # fmt: skip
"""The files of a checkpoint after which there is a crash point."""
SAVED_WITH_THEM = {
    "config.json", "generation_config.json", "chat_template.jinja", "tokenizer_config.json", "MANIFEST.json"
}  # fmt: skip
"""Those written right before one of them, or in `save.manifest`. Where there is a curriculum, `curriculum.json` too."""

WRITERS = {
    "arena/command/battle_control.py": "write..save",
    "arena/examinations.py": "write.bin-1.tries write.bin-1.json",
    "arena/journal.py": "write.journal.jsonl append.torn.journal.jsonl",
    "arena/lanes/moves.py": "write.{file}.meta.json",
    "arena/ravens/bookings.py": "write.notices.json",
    "arena/supervision/exit_record.py": "write..exit.json",
    "core/checkpoint_index.py": "write.checkpoint_ledger.json append.torn.checkpoint_history.jsonl",
    "core/status_files.py": "write.training_status.json",
    "vault/checkpoints.py": "write.HEAD",
}
"""Where files are replaced or appended to by `core.files`: the expansions of `write.*` and `append.torn.*`."""
WRITERS_OF_NO_CONSEQUENCE = {
    "arena/academy/correcting.py": "under a name that is left alone; a kill costs one quest beside the curriculum",
    "arena/academy/making.py": "into the inbox under a name that is left alone: school.written is right behind it",
    "arena/academy/telling.py": "derived from the saga",
    "arena/alone/unfinished_run.py": "of a verb, which tells how its next run goes on",
    "arena/annals/adopting.py": "into a staging directory",
    "arena/annals/turning.py": "before it nothing has happened, and turn.planned is right behind it",
    "arena/disk/places.py": "a mark that the next look makes again",
    "arena/doorstep/quest_drop.py": "of a verb, into the inbox, before the data",
    "arena/furnishing.py": "of a verb that begins a realm",
    "arena/gatekeepers/likeness/sketch_store.py": "advice for later quests, which can do without",
    "arena/gatekeepers/rejection.py": "a report for people; the sidecar has its reason too",
    "arena/hall/archives.py": "within a change of heroes, which goes on until it is whole: hero.*",
    "arena/hall/changing.py": "before it nothing has happened, and hero.planned is right behind it",
    "arena/hall/new_hero.py": "of a verb that makes one file",
    "arena/pass_size.py": "measured again where it is missing",
    "arena/quest_board.py": "derived from the lanes",
    "arena/rowbook/row_book.py": "figures for people, which a replay notes again",
    "arena/trainer/errands.py": "an answer that its verb waits for",
    "arena/trainer/healing/flagged.py": "derived from journal and data",
    "arena/trainer/saving/writing.py": "into a staging directory: save.file.*",
    "arena/verbs/discriminate.py": "of a verb, beside rows that it drops afterwards",
    "core/checkpoint_records.py": "into a staging directory: save.file.*",
    "core/shell/config_file.py": "of a verb that replaces one file, after its backup",
    "core/shell/settings_history.py": "before the file that it belongs to is replaced: at worst a version too many",
    "core/lineage.py": "into the inbox, before the data",
    "core/lineage_tracker.py": "a count that people look at",
    "core/services.py": "made anew by each start",
    "core/verbs/install_service.py": "of a verb that makes one file",
    "guild/self_correction.py": "a count that people look at",
    "vault/archivist.py": "into a staging directory, seal.staged is right behind it; later a date in a note",
    "vault/pin_book.py": "pins that the next round writes again",
    "vault/adoption.py": "into a staging directory",
    "vault/joining.py": "of a verb that replaces one file after another, and does so again",
    "vault/manifest.py": "into a staging directory: save.manifest is right behind it",
    "vault/storage_registry.py": "of a call that replaces one file",
    "vault/scrub_record.py": "dates, of which an older one only leads to one more look",
    "vault/snapshots.py": "into a staging directory: snapshot.staged is right behind it",
    "vault/transfer/landing.py": "into a staging directory: pull.staged is right behind it",
}
"""The others, and why a kill between the new file and its rename needs no test of its own."""
WRITING = {"write_atomic", "write_json", "append_line"}

EXPANSIONS = {
    "battle.step.*": {"battle.step.{file}"},
    "save.file.*": {f"save.file.{name}" for name in SAVED},
    "write.*": {place for places in WRITERS.values() for place in places.split() if place.startswith("write.")},
    "append.torn.*": {place for places in WRITERS.values() for place in places.split() if place.startswith("append.")},
}
"""All that the star in the name of a crash point stands for."""


@pytest.mark.parametrize("name", sorted({*crash_point_names()}))
def test_every_crash_point_of_the_code_is_exercised(name: str) -> None:
    missing = EXPANSIONS.get(name, {name}) - WALKED - ELSEWHERE
    assert not missing, f"{missing} are neither in STATIONS of crash_walk.py nor in KILLED_AT of a test in ELSEWHERE"


def test_whatever_is_walked_or_pointed_to_still_exists() -> None:
    names = set(crash_point_names())
    assert not [place for place in WALKED | ELSEWHERE if not any(fnmatchcase(place, name) for name in names)]
    assert EXPANSIONS.keys() == {name for name in names if "*" in name}


def test_whoever_writes_files_is_known() -> None:
    """A new one either has something to lose, and a station, or it says why not."""
    found = {
        file.relative_to(CHECKOUT).as_posix()
        for room in ROOMS
        for file in (CHECKOUT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in WRITING
    }
    assert found - {"core/files.py"} == WRITERS.keys() | WRITERS_OF_NO_CONSEQUENCE.keys()


CHARGED = ("journal.", "append.torn.journal", "battle.step")
"""Places at which a quest is being prepared or stepped: a death there is a strike."""


@dataclass(frozen=True)
class Walked:
    """A realm that has died everywhere and ended well."""

    realm: UndyingRealm
    dropped: list[Dropped]
    left: list[str]
    """Places that nobody has passed."""
    oracle: Path


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    folder = tmp_path_factory.mktemp("walked")
    places = folder / "places.txt"
    with Nursery(REALM_CRASH_LIST=str(places)) as nursery, pytest.MonkeyPatch.context() as patch:
        # The undisturbed trainer, too, comes from there.
        patch.setattr("sys.executable", str(nursery.python))
        realm = UndyingRealm(folder / "realm", save_budget=1.0)
        realm.command = nursery.command("--base-dir", str(realm.paths.base), "up")
        walk = Walk(realm, places)
        try:
            walk.go(STATIONS)
            assert realm.stop() == 0
        finally:
            realm.close()
        yield Walked(realm, walk.dropped, walk.left(), replay_realm(realm.paths, folder / "oracle"))


def test_one_realm_dies_at_every_place_and_ends_as_if_nothing_had_happened(walked: Walked) -> None:
    """A6, B17, C1, C4: real SIGKILLs of daemon, trainer and scribe; no quest is lost, doubled or misreported."""
    assert walked.left == []
    assert walked.realm.ends[KILLED] >= 15
    assert differences(walked.realm.paths, walked.dropped, walked.oracle) == []
    assert {path.name for path in walked.realm.checkpoints()[-1].iterdir()} == SAVED | SAVED_WITH_THEM


def test_every_death_is_named_correctly_and_once(walked: Walked) -> None:
    """B17: a kill is called a kill, by its pid, and a strike is one only to a quest that was being stepped."""
    realm = walked.realm
    died = realm.events("trainer_died")
    assert len(died) >= 10
    assert [event["message"] for event in died if "SIGKILL" not in event["message"]] == []
    assert len({event["data"]["pid"] for event in died}) == len(died)
    struck = Counter(event["message"].partition(".jsonl takes strike ")[0] for event in realm.events("quest_strike"))
    deaths_in_a_step = {
        f"quest_{number:02}": sum(place.startswith(CHARGED) for place in station.places)
        for number, station in enumerate(STATIONS)
    }
    of_stations = Counter({name: times for name, times in struck.items() if not name.startswith("more_")})
    assert of_stations == Counter(deaths_in_a_step)
    # A realm that is killed before its first status leaves no word that it was there.
    kills = realm.ends[KILLED]
    assert kills - 2 <= len(realm.events("realm_was_cut_off")) <= kills


@pytest.mark.parametrize("damage", NAMED, ids=lambda damage: damage.__name__)
def test_each_kind_of_damage_to_that_realm_is_found(
    walked: Walked, tmp_path: Path, damage: Callable[[RealmPaths], None]
) -> None:
    """Without this a reckoning that finds nothing shows nothing."""
    paths = RealmPaths(tmp_path / "realm")
    shutil.copytree(walked.realm.paths.base, paths.base)
    damage(paths)
    found = differences(paths, walked.dropped, walked.oracle)
    assert [fault for fault in found if NAMED[damage] in fault], found
