"""`realm export` of a hero who trains all weights: a copy that is there whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from arena.hall import half_exports
from arena.hall.adoption import adopt_for_hero
from arena.hall.exporting import export_model
from arena.hall.model_look import look_at_model
from arena.quest_board import QuestBoard
from arena.upkeep.housekeeping import Housekeeper
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.file_lock import directory_locked_if_free
from core.files import Files
from core.paths import RealmPaths
from core.saga import open_saga
from core.settings import BudgetSettings, RetentionSettings
from tests.arena.annals.past import NOW, folder_names
from tests.arena.hall.model_dirs import make_byte_model
from tests.arena.test_lora import mira
from vault.checkpoints import CheckpointStore
from vault.snapshots import take_snapshot
from vault.treasury import Treasury

MODEL = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
BESIDE = ("optimizer.pt", "journal.jsonl", "cursor.json")


def checkpoint(paths: RealmPaths, step: int, *, adapter: bool = False) -> Path:
    """A whole checkpoint with a model of some bytes, or with an adapter, and what training keeps beside it."""
    store = CheckpointStore(paths.current_model)
    staging = store.stage()
    for file in make_byte_model(staging / "made", fill=float(step)).iterdir():
        file.rename(staging / file.name)
    (staging / "made").rmdir()
    if adapter:
        (staging / "model.safetensors").rename(staging / "adapter_model.safetensors")
        (staging / "config.json").rename(staging / "adapter_config.json")
    for name in BESIDE:
        (staging / name).write_text("{}")
    return store.publish(staging, f"checkpoint-{step}-20261121-0930")


def test_the_model_is_copied_and_nothing_of_its_training(paths: RealmPaths, tmp_path: Path) -> None:
    first, second = checkpoint(paths, 5), checkpoint(paths, 9)
    target = tmp_path / "shelf" / "mira"
    done = export_model(paths, target)
    assert {file.name for file in target.iterdir()} == MODEL
    assert all((target / name).read_bytes() == (second / name).read_bytes() for name in MODEL)
    assert (done.checkpoint, done.step, done.merged) == (second.name, 9, False)
    assert done.size_bytes == sum(file.stat().st_size for file in target.iterdir())
    assert [path.name for path in target.parent.iterdir()] == ["mira"]
    assert export_model(paths, tmp_path / "older", reference="5").checkpoint == first.name


def test_what_is_there_stays_and_what_is_not_whole_is_not_handed_out(paths: RealmPaths, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no checkpoint 'latest'"):
        export_model(paths, tmp_path / "new")
    folder = checkpoint(paths, 5)
    (tmp_path / "taken").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("taken", "dangling"):
        with pytest.raises(Conflict, match="exists already"):
            export_model(paths, tmp_path / name)
    with pytest.raises(Conflict, match="among the hero's checkpoints"):
        export_model(paths, paths.current_model / "copy")
    with pytest.raises(NotFound, match="no checkpoint '6'"):
        export_model(paths, tmp_path / "new", reference="6")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(Conflict, match=r"is not whole: model\.safetensors"):
        export_model(paths, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert list(tmp_path.glob(".*.part")) == []


class FullDisk(Files):
    """Has room for so many bytes, or for none of them once they are written."""

    def __init__(self, free: int = 1 << 40) -> None:
        self._free = free

    def statvfs(self, folder: Path) -> os.statvfs_result:
        found = super().statvfs(folder)
        return os.statvfs_result((1, 1, found[2], self._free, self._free, *found[5:]))

    def fsync(self, fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("free", "told"), [(100, "The model takes"), (1 << 40, "No space left")])
def test_a_full_disk_leaves_nothing_behind(paths: RealmPaths, tmp_path: Path, free: int, told: str) -> None:
    """A8: half of a model looks like one."""
    checkpoint(paths, 5)
    shelf = tmp_path / "shelf"
    with pytest.raises(Unavailable, match=told):
        export_model(paths, shelf / "mira", files=FullDisk(free))
    assert list(shelf.iterdir()) == []


def test_what_a_killed_export_has_left_goes_and_one_under_way_is_left_alone(paths: RealmPaths, tmp_path: Path) -> None:
    checkpoint(paths, 5)
    left = tmp_path / ".mira.part"
    half = left / "model" / "model.safetensors"
    (left / "model" / ".adapter").mkdir(parents=True)
    half.write_bytes(b"half")
    (left / ".realm-export").touch()
    with directory_locked_if_free(left), pytest.raises(Conflict, match="is under way"):
        export_model(paths, tmp_path / "mira")
    assert half.read_bytes() == b"half"
    export_model(paths, tmp_path / "mira")
    assert not left.exists()
    assert {file.name for file in (tmp_path / "mira").iterdir()} == MODEL


def test_a_kill_in_the_clearing_away_leaves_what_is_known_as_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a directory go in no order: without its sign, half a model stayed for ever."""
    signs: list[bool] = []

    def cut_off(folder: Path) -> None:
        signs.append((folder.parent / ".realm-export").exists())
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as cut:
        cut.setattr(half_exports.shutil, "rmtree", cut_off)
        with half_exports.staging(tmp_path / "mira") as place:
            (place / "model.safetensors").write_bytes(b"half")
    assert signs == [True]
    assert half_exports.sweep_half_exports(tmp_path) == [".mira.part"]


def test_what_a_killed_export_has_left_goes_with_the_next_round_of_the_house(
    paths: RealmPaths,
) -> None:
    """Law 9: half a model of gigabytes stayed until somebody exported the same checkpoint again, if ever."""
    checkpoint(paths, 5)
    left, running, foreign, link = (paths.exports / f".{name}.part" for name in ("left", "running", "foreign", "link"))
    for folder in (left, running):
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "model.safetensors").write_bytes(b"half")
        (folder / ".realm-export").touch()
    (foreign / "model").mkdir(parents=True)
    link.symlink_to(foreign)
    export_model(paths, paths.exports / "whole")
    settings = RetentionSettings()
    treasury = Treasury(paths, CheckpointLedger.of(paths), lambda: settings)
    with open_saga(paths) as saga, directory_locked_if_free(running):
        board = QuestBoard(paths)
        asyncio.run(Housekeeper(paths, board, saga, treasury).keep(BudgetSettings(), now=NOW))
        assert [event.kind for event in saga.latest_events(5)] == []
    assert folder_names(paths.exports) == [".foreign.part", ".link.part", ".running.part", "whole"]
    assert (running / "model" / "model.safetensors").read_bytes() == b"half"


def test_a_directory_of_somebody_else_beside_the_target_is_left_alone(
    paths: RealmPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name can be guessed; all that lay in it was deleted, and behind a link to it too."""
    checkpoint(paths, 5)
    documents = tmp_path / "documents"
    (documents / "model").mkdir(parents=True)
    (documents / "model" / "letter.txt").write_text("Dear")
    places = {name: tmp_path / f".{name}.part" for name in ("download", "link", "another")}
    documents.rename(places["download"])
    places["link"].symlink_to(places["download"])
    places["another"].mkdir()
    (places["another"] / ".realm-export").touch()
    for name in ("download", "link"):
        with pytest.raises(Conflict, match=f"{name}.part, where the model would be made, is there already"):
            export_model(paths, tmp_path / name)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: places["another"].stat().st_uid + 1)
        with pytest.raises(Conflict, match="was not made by an export"):
            export_model(paths, tmp_path / "another")
    assert (places["download"] / "model" / "letter.txt").read_text() == "Dear"
    assert {path.name for path in tmp_path.iterdir() if path.name in places} == set()


def test_where_a_model_is_wanted_an_adapter_is_refused_by_name(paths: RealmPaths, tmp_path: Path) -> None:
    """Adopting, summoning: adapters are nothing without their base. A snapshot keeps them as they are."""
    adapter = checkpoint(paths, 5, adapter=True)
    paths.config_file.write_text("hero: seedling\n")
    elsewhere = adapter.rename(tmp_path / "adapter")
    complaints: list[RealmError] = []
    for look in (look_at_model, lambda folder: adopt_for_hero(paths, folder, step=None, requeue=False, now=NOW)):
        with pytest.raises(InvalidInput, match="holds a LoRA adapter") as refused:
            look(elsewhere)
        complaints.append(refused.value)
    assert all("realm export" in str(error.hint) for error in complaints)
    checkpoint(paths, 6, adapter=True)
    taken = take_snapshot(paths, NOW.date(), now=NOW)
    assert taken is not None
    mira(paths)
    model = make_byte_model(tmp_path / "model")
    with pytest.raises(Conflict, match="trains a LoRA adapter beside seedling"):
        adopt_for_hero(paths, model, step=None, requeue=False, now=NOW)
    assert json.loads((model / "config.json").read_text())["model_type"] == "qwen3"
