"""What the proof says of two ends that differ, and what a rehearsal needs beforehand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from arena.heroes import load_hero
from arena.rehearsal.material import EXAMPLE, choose_source, gather_rows
from arena.rehearsal.needs import Needs, check_room, forecast
from arena.rehearsal.proof import Proof
from arena.rehearsal.rehearsal import Rehearsal
from arena.start_check import read_setup
from arena.trainer.comparison import compare
from arena.trainer.loading.seedling import make_seedling
from arena.verbs import prove_resume as verb
from core.cli import Choices
from core.errors import Unavailable
from core.paths import RealmPaths
from tests.acceptance.quest_files import write_quest
from tests.arena.trainer.tiny_hero import make_tiny_model
from vault.checkpoints import CheckpointDir
from vault.weights import count_parameters, weight_shapes

NEEDS = Needs(parameters=1000, memory_bytes=10**9, disk_bytes=10**9)


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal checkpoints with an optimizer."""
    straight = make_tiny_model(tmp_path / "straight", dropout=0.0)
    moments = {"step": torch.tensor(4.0), "exp_avg": torch.full((3, 2), 0.5), "exp_avg_sq": torch.full((3, 2), 0.25)}
    others = {name: tensor.clone() for name, tensor in moments.items()}
    torch.save({"state": {0: moments, 1: others}, "param_groups": []}, straight / "optimizer.pt")
    return straight, shutil.copytree(straight, tmp_path / "disturbed")


def proof(compared: dict[str, Any], **changes: Any) -> Proof:
    plain = Proof(
        from_step=0, checkpoint=None, steps=10, dataset="x.jsonl", needs=NEEDS, device="cpu, 2 threads",
        lives=["5 steps"], **compared,
    )  # fmt: skip
    return replace(plain, **changes)


def test_equal_ends_are_told_as_such(twins: tuple[Path, Path]) -> None:
    found = proof(compare(*twins))
    assert found.equal
    assert found.holds
    assert found.weights["digests"][0] == found.weights["digests"][1]
    assert found.optimizer["tensors"] == 6
    assert found.lines()[-1] == "Equal bit for bit after 10 steps on cpu, 2 threads: nothing was lost."


def test_a_moment_that_differs_is_named_with_by_how_much_and_ends_the_verb_with_1(
    twins: tuple[Path, Path], paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optimizer that is not restored shows in the weights only steps later."""
    straight, disturbed = twins
    state = torch.load(disturbed / "optimizer.pt", weights_only=True)
    state["state"][1]["exp_avg"][2, 1] += 0.125
    state["state"][1]["exp_avg_sq"][0, 0] += 0.5
    torch.save(state, disturbed / "optimizer.pt")
    found = proof(compare(straight, disturbed))
    assert found.weights["first_difference"] is None
    assert found.optimizer["first_difference"] == "exp_avg of parameter 1"
    assert (found.optimizer["difference"], found.optimizer["largest_difference"]) == (0.125, 0.5)
    assert found.optimizer["digests"][0] != found.optimizer["digests"][1]

    monkeypatch.setattr(verb, "_prove", lambda *arguments: found)
    app = typer.Typer()
    app.command()(verb.prove_resume)
    ended = CliRunner().invoke(app, [], obj=Choices(paths=paths, as_json=False))
    assert ended.exit_code == 1
    assert "the first tensor that differs is exp_avg of parameter 1, by 0.125; the largest is 0.5" in ended.output
    assert "NOT EQUAL after 10 steps" in ended.output
    # Where an accelerator trains, the difference is told and nothing is demanded.
    other = replace(found, device="cuda, 2 threads")
    monkeypatch.setattr(verb, "_prove", lambda *arguments: other)
    ended = CliRunner().invoke(app, [], obj=Choices(paths=paths, as_json=False))
    assert ended.exit_code == 0
    assert "by 0.125" in ended.output
    assert "NOT EQUAL" not in ended.output


@pytest.mark.parametrize("change", ["one bit", "not a number", "missing"])
def test_weights_that_differ_are_found_to_the_last_bit(twins: tuple[Path, Path], change: str) -> None:
    straight, disturbed = twins
    weights = load_file(disturbed / "model.safetensors")
    name = sorted(weights)[3]
    match change:
        case "one bit":
            weights[name].view(torch.int32).view(-1)[1] ^= 1
        case "not a number":
            weights[name].view(-1)[1] = float("nan")
        case "missing":
            del weights[name]
    save_file(weights, disturbed / "model.safetensors", metadata={"format": "pt"})
    found = proof(compare(straight, disturbed))
    assert not found.holds
    assert found.weights["first_difference"] == name
    assert found.optimizer["first_difference"] is None
    known = found.weights["difference"]
    assert 0 < known < 1e-6 if change == "one bit" else known is None
    if change == "not a number":
        # In both it is the same.
        save_file(weights, straight / "model.safetensors", metadata={"format": "pt"})
        assert proof(compare(straight, disturbed)).equal


def test_a_disk_without_room_for_five_checkpoints_is_refused_beforehand(tmp_path: Path) -> None:
    """What is begun must not fill the disk that the hero's own checkpoints lie on."""
    check_room(NEEDS, tmp_path, free=lambda folder: NEEDS.disk_bytes)
    with pytest.raises(Unavailable, match=r"needs 1\.0 GB in .*, and 0\.9 GB are free.* --work-dir"):
        check_room(NEEDS, tmp_path, free=lambda folder: 9 * 10**8)


def test_the_forecast_knows_the_seedling_before_it_is_made_and_a_checkpoint_by_its_tensors(
    paths: RealmPaths, twins: tuple[Path, Path]
) -> None:
    setup = read_setup(paths, {})
    made = make_seedling(paths.models / "seedling-x", load_hero(paths, "seedling").recipe or {}, seed=1)
    parameters = count_parameters(weight_shapes(made))
    needs = forecast(paths, setup, None)
    assert needs.parameters == parameters
    assert needs.disk_bytes > 5 * 12 * parameters
    assert needs.memory_bytes > 16 * parameters
    assert f"{parameters:,} parameters" in needs.told
    small = forecast(paths, setup, CheckpointDir("checkpoint-1", 1, twins[0]))
    assert small.parameters == count_parameters(weight_shapes(twins[0]))


def test_a_model_of_the_hub_is_taken_from_where_it_lies(paths: RealmPaths) -> None:
    """A hero without a checkpoint: its trainers fetched it once more, or failed where there is no network."""
    setup = read_setup(paths, {})
    quest = gather_rows(
        paths, setup, write_quest(paths.base / "x.jsonl", 100), paths.base / "rows", steps=2, tell=print
    )
    (paths.models / "acme--tiny").mkdir()
    ground = paths.base / "ground"
    of_the_hub = replace(setup, base_model="acme/tiny")
    rehearsal = Rehearsal(paths, of_the_hub, None, quest, half=1, ground=ground, tell=print)
    rehearsal.prepare()
    assert rehearsal._begin(RealmPaths(ground / "straight")).base_model == str(paths.models / "acme--tiny")


def test_rows_come_from_the_last_completed_quest_else_from_an_example_and_suffice(paths: RealmPaths) -> None:
    setup = read_setup(paths, {})
    assert choose_source(paths) == EXAMPLE
    folder = paths.base / "rows"
    # 64 rows a step: 100 rows are 2 steps, so that 5 steps take 3 epochs.
    quest = gather_rows(paths, setup, write_quest(paths.base / "x.jsonl", 100), folder, steps=5, tell=print)
    assert (quest.record.rows, quest.record.epochs) == (100, 3)
    few = gather_rows(paths, setup, write_quest(paths.base / "y.jsonl", 999), folder / "y", steps=2, tell=print)
    assert (few.record.rows, few.record.epochs) == (128, 1)
    assert len(few.path.read_text().splitlines()) == 128
