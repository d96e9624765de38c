"""Skills come from YAML files alone, and a broken file is told of."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from core.errors import InvalidInput, NotFound
from core.paths import RealmPaths
from guild.dojo.arithmetic.levels import level_of
from guild.skills import SkillRegistry, get_skill, get_trainer, list_skills
from guild.skills.types import DEFAULT_THRESHOLD
from tests.guild.skills.files import TEMPLATE, write_skill


def test_the_shipped_skills_are_what_the_seed_says() -> None:
    assert list_skills() == ["bin", "sy"]
    bin_, sy = get_skill("bin"), get_skill("sy")
    assert (bin_.icon, bin_.color, bin_.short_name, bin_.max_level) == ("🔢", "#F59E0B", "BIN", 30)
    assert (sy.icon, sy.color, sy.short_name, sy.max_level) == ("🧩", "#8B5CF6", "SY", 50)
    assert (bin_.api_url, sy.api_url) == ("http://localhost:8090", "http://localhost:8080")
    assert (bin_.name, sy.name, bin_.xp_multiplier) == ("Binary Alchemy", "Word Weaving", 1.2)
    assert (bin_.eval.samples_per_level, bin_.eval.endpoint) == (5, "/eval")


@pytest.mark.parametrize("name", ["binary", "BIN", "bin"])
def test_a_skill_is_found_under_its_older_names(name: str) -> None:
    """C12, C13."""
    assert get_skill(name).id == get_trainer(name).sample(1, 1).skill_id == "bin"


def test_the_file_of_bin_says_what_its_generator_does() -> None:
    told = get_skill("bin").level_progression
    known: set[str] = set()
    for level in range(1, 31):
        rules = level_of(level)
        names = [operation.name for operation in rules.operations]
        new = [name for name in names if name not in known]
        known |= set(new)
        assert (told[level]["bits"], told[level].get("new", [])) == (rules.bits, new)
    operations = get_skill("bin").operations
    assert isinstance(operations, tuple)
    assert set(operations) == known


def test_adding_a_skill_is_adding_a_file(paths: RealmPaths) -> None:
    write_skill(paths, "chess", name="Chess")
    assert list_skills(paths.base) == ["bin", "chess", "sy"]
    assert get_skill("chess", paths.base).name == "Chess"


def test_the_template_is_no_skill_and_every_field_of_it_is_valid(paths: RealmPaths) -> None:
    file = paths.configs / "skills" / "myskill.yaml"
    file.parent.mkdir()
    file.write_bytes(TEMPLATE.read_bytes())
    assert get_skill("myskill", paths.base).max_level == 10
    assert "_template" not in SkillRegistry(paths).files()


def test_a_file_of_the_base_directory_shadows_the_shipped_one(paths: RealmPaths) -> None:
    write_skill(paths, "bin", source="builtin", max_level=4, accuracy_thresholds={1: 0.5})
    skill = get_skill("bin", paths.base)
    assert (skill.max_level, skill.get_threshold(1)) == (4, 0.5)
    with pytest.raises(InvalidInput, match="Its levels are 1 to 4"):
        get_trainer("bin", paths.base).sample(5, 1)


def test_a_threshold_holds_up_to_the_next_one(paths: RealmPaths) -> None:
    write_skill(paths, "chess", accuracy_thresholds={3: 0.6, 7: 0.9})
    skill = get_skill("chess", paths.base)
    assert [skill.get_threshold(level) for level in (1, 3, 6, 7, 10)] == [DEFAULT_THRESHOLD, 0.6, 0.6, 0.9, 0.9]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"catgory": "math"}, r"catgory: there is no such setting. Did you mean category\?"),
    ({"category": "maths"}, "category: "),
    ({"display": {"icon": "x", "colour": "#000000", "short_name": "X"}}, r"Did you mean display.color\?"),
    ({"display": {"icon": "x", "color": "red", "short_name": "X"}}, "display.color: "),
    ({"api": {"url": "localhost:8080"}}, "api.url: an address looks like"),
    ({"api": {"url": "http://localhost:99999"}}, "api.url: an address looks like"),
    ({"max_level": 0}, "max_level: "),
    ({"level_progression": {11: {}}}, r"level_progression: it names level 11, but levels are 1 to 10"),
    ({"accuracy_thresholds": {1: 80}}, "accuracy_thresholds.1: "),
    ({"primary_metric": "speed"}, "primary_metric: it is not among metrics: accuracy .found .speed.."),
    ({"name": None}, "name: Field required"),
    ({"id": "other"}, "id is 'other', but the file's name says 'chess'"),
    ({"source": "builtin"}, "source: No source of problems is built in for skill 'chess'"),
]


@pytest.mark.parametrize(
    ("changes", "told"), WRONG, ids=[next(iter(changes)) + str(n) for n, (changes, _) in enumerate(WRONG)]
)
def test_a_broken_file_is_told_of_with_file_and_field(paths: RealmPaths, changes: dict[str, Any], told: str) -> None:
    """G1: unknown keys and wrong values were passed over in silence."""
    file = write_skill(paths, "chess")
    write_skill(paths, "chess", **changes)
    with pytest.raises(InvalidInput, match=told) as caught:
        get_skill("chess", paths.base)
    assert str(file) in str(caught.value)


def test_one_broken_file_hides_no_other(paths: RealmPaths, caplog: pytest.LogCaptureFixture) -> None:
    write_skill(paths, "archery")
    write_skill(paths, "chess", max_level=0)
    folder = paths.configs / "skills"
    (folder / "notes.yaml").write_text("id: [")
    (folder / "Upper Case.yaml").write_text("")
    (folder / "binary.yaml").write_text("")
    (folder / "short.yml").write_text("")
    with caplog.at_level(logging.WARNING):
        assert list_skills(paths.base) == ["archery", "bin", "sy"]
    assert len(caplog.records) == 5
    skills, broken = SkillRegistry(paths).survey()
    assert sorted(skills) == ["archery", "bin", "sy"]
    told = {file.name: problem for file, problem in broken.items()}
    assert told.keys() == {"chess.yaml", "notes.yaml", "Upper Case.yaml", "binary.yaml", "short.yml"}
    assert "must end in .yaml" in told["short.yml"]
    assert "another name of skill bin" in told["binary.yaml"]
    assert "is no skill id" in told["Upper Case.yaml"]


def test_more_levels_than_are_built_in_are_refused(paths: RealmPaths) -> None:
    write_skill(paths, "bin", source="builtin", max_level=31)
    with pytest.raises(InvalidInput, match="max_level: what is built in has 30 levels"):
        get_skill("bin", paths.base)


def test_an_unknown_skill_is_refused_with_a_guess(paths: RealmPaths) -> None:
    with pytest.raises(NotFound, match=r"Did you mean bin\?"):
        get_skill("bim", paths.base)
    with pytest.raises(NotFound, match="The skills are bin, sy"):
        get_skill("../../etc/passwd", paths.base)
