"""The benchmark of small files, small, against a real realm and a stand-in for the peer's program."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.small_files import StepStart, TrlProcesses, gaps_between, measure, measure_steps, raise_realm
from benchmarks.workload import MAX_LENGTH, Lexicon, make_workload
from tests.acceptance.nursery import Nursery
from tests.arena.trainer.tiny_hero import TINY_RECIPE

STAND_IN = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        --output_dir) out=$2;;
        --dataset_name) data=$2;;
        --model_name_or_path) model=$2;;
    esac
    shift
done
[ "$(wc -l < "$data/train.jsonl")" = 20 ] && [ -e "$model/model.safetensors" ] || exit 3
mkdir "$out" && cp "$model/model.safetensors" "$out/"
"""
"""Takes what `trl sft` takes, and leaves what it leaves."""


QUEUED = 12
"""Quests, so that some gaps between them are seen: on a busy machine, such short steps may pass between two looks."""


@pytest.fixture
def peers(tmp_path: Path) -> Path:
    program = tmp_path / "peers" / "bin" / "trl"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return tmp_path / "peers"


def test_files_gaps_and_first_steps_are_measured_on_a_living_realm(
    nursery: Nursery, tmp_path: Path, peers: Path
) -> None:
    recipe = {**TINY_RECIPE, "max_position_embeddings": MAX_LENGTH}
    workload = make_workload(tmp_path / "model", vocabulary=512, rows=140, recipe=recipe)
    trl = TrlProcesses(peers, tmp_path / "trl", workload.model, threads=1)
    realm = raise_realm(tmp_path / "realm", workload.model, threads=1, nursery=nursery)
    try:
        ratio, ours, theirs = measure(realm, workload, trl, files=2, rounds=2)
        steps = measure_steps(realm, Lexicon(2), queued=QUEUED, singles=1)
        learned = realm.taught()
    finally:
        realm.close()
    assert [(name.split("-")[0], outcome, rows) for name, outcome, rows in learned] == [
        ("warm", "learned", 20), *[("round", "learned", 20)] * 4, *[("queued", "learned", 20)] * QUEUED,
        ("single", "learned", 20),
    ]  # fmt: skip
    assert [len(figure.values) for figure in (ratio, ours, theirs)] == [2, 2, 2]
    assert ratio.values == [2 * peer / own for peer, own in zip(theirs.values, ours.values, strict=True)]
    # The file had to be still for its second, and was not learned before.
    assert all(figure.median > 0 for figure in steps if "first step" in figure.what)


def test_a_peer_that_fails_ends_the_benchmark_with_what_it_said(tmp_path: Path, peers: Path) -> None:
    (peers / "bin" / "trl").write_text("#!/bin/sh\necho no such option; exit 2\n")
    trl = TrlProcesses(peers, tmp_path / "trl", tmp_path, threads=1)
    with pytest.raises(SystemExit, match=r"ended with 2:\nno such option"):
        trl.learn(Lexicon(1).chats(2))


def test_a_gap_is_what_the_way_to_the_next_quest_takes_longer_than_that_to_the_next_step() -> None:
    starts = [
        StepStart(1, 0, 0.0), StepStart(1, 1, 1.0), StepStart(2, 0, 2.5), StepStart(2, 1, 3.5), StepStart(3, 0, 4.75),
    ]  # fmt: skip
    assert gaps_between(starts, steps=2) == ([0.5, 0.25], [0.0, 0.0])


def test_steps_that_were_not_seen_make_no_gap() -> None:
    starts = [StepStart(1, 0, 0.0), StepStart(1, 1, 1.0), StepStart(2, 1, 4.0), StepStart(3, 0, 5.5)]
    assert gaps_between(starts, steps=2) == ([0.5], [0.0])
