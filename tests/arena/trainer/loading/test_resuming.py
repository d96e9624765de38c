"""Training never goes on from what is not whole or cannot be loaded, and says why; nothing is given up for more."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from arena.protocol import CheckpointSaved, Command, Event, OpenQuest, Ready, Save, Stop, Trouble
from arena.trainer.loading.blame import is_about_this_machine
from arena.trainer.loading.model_loading import LoadedModel, load_model_and_tokenizer
from arena.trainer.loading.resuming import TRIED_AT_MOST, ResumePoint, find_resume_point
from core.errors import Conflict, InvalidInput, Unavailable
from core.files import DISK
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.fighting_here import fight
from vault.checkpoints import CheckpointStore
from vault.manifest import MANIFEST, check_manifest, listed_files, write_manifest
from vault.reading import READING
from vault.trash import to_trash

STEPS = 6


@pytest.fixture(scope="session")
def past(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A hero that has learned one quest in six steps, with a checkpoint after each two; nobody writes into it."""
    field = Field(tmp_path_factory.mktemp("past") / "realm", tiny_model)
    fight(field, field.foe("ogre", 24).claim(), save_steps=2, stop_at_step=STEPS)
    assert [found.step for found in CheckpointStore(field.paths.current_model).list()] == [2, 4, 6]
    return field


@pytest.fixture
def field(past: Field, tmp_path: Path) -> Field:
    """A copy of that hero's realm."""
    shutil.copytree(past.base, tmp_path / "realm")
    return Field(tmp_path / "realm", past.model, dict(past.foes))


class Looking:
    """Looks for the checkpoint to go on from, as a starting trainer does."""

    def __init__(self, field: Field) -> None:
        self.store = CheckpointStore(field.paths.current_model)
        self.journal = field.journal
        self.told: list[tuple[str, str]] = []
        self.loaded_from: list[str | None] = []
        self.has_data = True
        """Whether all quests can be learned again."""
        self._load = partial(
            load_model_and_tokenizer, str(field.model), models_dir=field.paths.models, recipe=None, seed=0,
            device="cpu", dtype=torch.float32,
        )  # fmt: skip

    def load(self, folder: Path | None) -> LoadedModel:
        self.loaded_from.append(folder.name if folder else None)
        return self._load(checkpoint=folder)

    def look(self, load: Callable[[Path | None], LoadedModel] | None = None) -> ResumePoint:
        return find_resume_point(
            self.store, self.journal, load or self.load, lambda *told: self.told.append(told),
            lambda quest_id: self.has_data,
        )  # fmt: skip

    @property
    def steps(self) -> list[int]:
        return [found.step for found in self.store.list()]

    def folder(self, step: int) -> Path:
        return next(found.path for found in self.store.list() if found.step == step)


@pytest.fixture
def looking(field: Field) -> Looking:
    return Looking(field)


# --- every byte -----------------------------------------------------------------------------------------------


def offsets_of(name: str, size: int) -> list[int]:
    """All bytes of what decides over the rest; of other files both ends, where the formats keep their structure."""
    if name in (MANIFEST, "cursor.json"):
        return list(range(size))
    return sorted({*range(min(size, 24)), *range(max(size - 24, 0), size), *range(0, size, size // 24 + 1)})


def test_any_flipped_byte_is_found_and_the_file_named(past: Field, tmp_path: Path) -> None:
    """A30: a checkpoint with any single byte flipped never counts as whole; its manifest is no exception."""
    folder = shutil.copytree(past.head, tmp_path / past.head.name)
    names = [*listed_files(folder), MANIFEST]
    assert {"model.safetensors", "optimizer.pt", "rng_state.pth", "journal.jsonl", ".ledger.json"} <= set(names)
    for name in names:
        with (folder / name).open("r+b", buffering=0) as file:
            for offset in offsets_of(name, (folder / name).stat().st_size):
                before = os.pread(file.fileno(), 1, offset)
                os.pwrite(file.fileno(), bytes([before[0] ^ 1 << offset % 8]), offset)
                problems = check_manifest(folder)
                os.pwrite(file.fileno(), before, offset)
                assert len(problems) == 1, (name, offset)
                assert problems[0].startswith(name), (name, offset)
    assert check_manifest(folder) == []


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def made_longer(file: Path) -> None:
    with file.open("ab") as end:
        end.write(b"\n")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link(file: Path) -> None:
    shutil.move(file, file.parent.parent / "elsewhere")
    file.symlink_to(file.parent.parent / "elsewhere")


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("damage", [emptied, cut_short, made_longer, Path.unlink, a_folder, a_link, a_pipe])
def test_whatever_becomes_of_a_file_is_found_and_told(
    past: Field, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """A30: any file truncated, missing, or turned into something else."""
    for name in [*listed_files(past.head), MANIFEST]:
        folder = shutil.copytree(past.head, tmp_path / name / past.head.name)
        damage(folder / name)
        problems = check_manifest(folder)
        assert len(problems) == 1, name
        assert problems[0].startswith(name), name


# --- torn -----------------------------------------------------------------------------------------------------


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 4
    file.write_bytes(raw)


def test_a_torn_head_is_set_aside_and_what_it_taught_is_learned_again_bit_for_bit(past: Field, field: Field) -> None:
    """A30, law 3: going on from an ancestor ends in the weights of the checkpoint that was lost."""
    name = field.head.name
    flip(field.head / "optimizer.pt")
    events = fight(field, save_steps=2, stop_at_step=STEPS)
    (trouble,) = [event for event in events if isinstance(event, Trouble)]
    assert trouble.what == "checkpoint_quarantined"
    assert trouble.message == f"Checkpoint {name} was set aside: optimizer.pt was altered."
    (ready,) = [event for event in events if isinstance(event, Ready)]
    assert (ready.step, ready.checkpoint is not None) == (4, True)
    assert_equal_weights(past.head, field.head)
    note = json.loads((field.paths.current_model / f".quarantine-{name}" / "QUARANTINE.json").read_text())
    assert note["reason"] == "optimizer.pt was altered"


def test_what_a_rotten_head_holds_is_saved_anew_though_nothing_was_learned_since(past: Field, field: Field) -> None:
    """The scrub asks for it while the trainer still has everything in memory."""

    def answer(event: Event) -> Command | None:
        match event:
            case Ready():
                flip(field.head / "model.safetensors")
                return Save(reason="the present checkpoint has rotted", anew=True)
            case CheckpointSaved(record=record) if record:
                return Stop(reason="it is saved")
        return None

    events = fight(field, answer=answer)
    (saved,) = [event for event in events if isinstance(event, CheckpointSaved) and event.record]
    assert (saved.step, field.head.name) == (STEPS, saved.name)
    assert check_manifest(field.head) == []
    assert_equal_weights(past.head, field.head)


# --- whole, and yet not to be loaded -------------------------------------------------------------------------


def change_json(file: Path, **changes: Any) -> None:
    raw = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))


def change_tensors(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)


def drop_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def shrink_moments(folder: Path) -> None:
    def shrink(optimizer: dict[str, Any]) -> None:
        for moments in optimizer["state"].values():
            moments["exp_avg"] = moments["exp_avg"][:1]

    change_tensors(folder / "optimizer.pt", shrink)


def drop_a_group(folder: Path) -> None:
    change_tensors(folder / "optimizer.pt", lambda optimizer: optimizer["param_groups"].pop())


def shorten_random_state(folder: Path) -> None:
    def shorten(state: dict[str, Any]) -> None:
        state["cpu"] = state["cpu"][:100]

    # With numpy's state inside, it is no plain file of tensors.
    content = torch.load(folder / "rng_state.pth", weights_only=False)
    shorten(content)
    torch.save(content, folder / "rng_state.pth")


UNLOADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cursor without a step": (lambda f: change_json(f / "cursor.json", quest_step=None), "does not tell quest_step"),
    "cursor of another type": (lambda f: change_json(f / "cursor.json", ordinal="one"), "cursor.json is damaged"),
    "cursor out of bounds": (lambda f: change_json(f / "cursor.json", ordinal=0), "a place that does not exist"),
    "cursor that is no JSON": (lambda f: (f / "cursor.json").write_text("{"), "cursor.json cannot be loaded"),
    "no cursor": (lambda f: (f / "cursor.json").unlink(), "it has no cursor.json"),
    "state of another step": (lambda f: change_json(f / "trainer_state.json", global_step=5), "it tells step 5"),
    "state of another version": (lambda f: change_json(f / "trainer_state.json", mood=1), "trainer_state.json cannot"),
    "no state": (lambda f: (f / "trainer_state.json").unlink(), "it has no trainer_state.json"),
    "moments of another shape": (shrink_moments, "moments have other shapes"),
    "another number of groups": (drop_a_group, "not an AdamW of this model"),
    "optimizer that is no archive": (
        lambda f: (f / "optimizer.pt").write_bytes(b"PK"),
        "optimizer.pt cannot be loaded",
    ),
    "no scheduler": (lambda f: (f / "scheduler.pt").unlink(), "but no scheduler.pt"),
    "random state of another torch": (shorten_random_state, "rng_state.pth cannot be loaded"),
    "unknown architecture": (lambda f: change_json(f / "config.json", model_type="dragon"), "no model that can be"),
    "other sizes": (lambda f: change_json(f / "config.json", intermediate_size=96), "no model that can be loaded"),
    "a weight is missing": (drop_a_weight, "lacks 1 of the model's weights"),
    "weights that are no safetensors": (lambda f: (f / "model.safetensors").write_text("x"), "no model that can be"),
}


def spoil(folder: Path, what: str) -> str:
    """Make a checkpoint that is whole by its manifest unloadable; returns words of the reason."""
    change, words = UNLOADABLE[what]
    change(folder)
    write_manifest(folder)
    assert check_manifest(folder) == []
    return words


@pytest.mark.parametrize("what", UNLOADABLE)
def test_a_whole_checkpoint_that_cannot_be_loaded_gives_way_to_one_that_can(looking: Looking, what: str) -> None:
    head = looking.folder(6)
    words = spoil(head, what)
    point = looking.look()
    assert point.checkpoint == looking.folder(4)
    assert (point.cursor.ordinal, point.cursor.quest_step) == (1, 4)
    assert looking.steps == [2, 4]
    note = json.loads((head.with_name(f".quarantine-{head.name}") / "QUARANTINE.json").read_text())
    assert words in note["reason"]
    assert looking.told == [("checkpoint_quarantined", f"Checkpoint {head.name} was set aside: {note['reason']}.")]


def test_what_keeps_all_of_them_from_loading_costs_none_of_them(looking: Looking) -> None:
    """A library that cannot read any of them is no fault of theirs, and the base model is no way out."""
    for step in looking.steps:
        spoil(looking.folder(step), "state of another version")
    names = [found.name for found in looking.store.list()]
    with pytest.raises(Conflict, match="none of the newest whole checkpoints can be loaded") as told:
        looking.look()
    assert all(name in str(told.value) for name in names)
    assert "Nothing was moved" in str(told.value)
    assert "update of torch or transformers" in str(told.value)
    assert [found.name for found in looking.store.list()] == names
    assert looking.told == []
    assert looking.loaded_from == []


def test_it_gives_up_after_some_instead_of_loading_years_of_milestones(looking: Looking) -> None:
    last = looking.folder(2)
    for step in range(7, 7 + TRIED_AT_MOST):
        name = last.name.replace("checkpoint-2-", f"checkpoint-{step}-")
        shutil.copytree(last, last.with_name(name))
        looking.store.set_head(name)
    with pytest.raises(Conflict, match="it tells step 2, the name of the checkpoint 11"):
        looking.look()
    assert looking.steps == [2, 4, 6, 7, 8, 9, 10, 11]


def test_a_base_model_that_cannot_be_loaded_is_not_put_down_to_the_checkpoint(looking: Looking, field: Field) -> None:
    model = shutil.copytree(field.model, field.base / "base")
    (model / "tokenizer.json").write_text("{")
    load = partial(
        load_model_and_tokenizer, str(model), models_dir=field.paths.models, recipe=None, seed=0, device="cpu",
        dtype=torch.float32,
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="base holds no tokenizer"):
        looking.look(lambda folder: load(checkpoint=folder))
    assert looking.steps == [2, 4, 6]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        ImportError("cannot import name Qwen3ForCausalLM"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        OSError("I/O error: Cannot allocate memory (os error 12)"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_this_machine_lacks_is_never_put_down_to_a_checkpoint(looking: Looking, error: Exception) -> None:
    def load(folder: Path | None) -> LoadedModel:
        raise error

    assert is_about_this_machine(error)
    with pytest.raises(type(error)):
        looking.look(load)
    assert looking.steps == [2, 4, 6]
    wrapped = InvalidInput("it holds no model")
    wrapped.__cause__ = error
    assert is_about_this_machine(wrapped)


def test_what_a_file_says_wrongly_is_put_down_to_it() -> None:
    for error in (
        ValueError("it tells step 5"),
        OSError("Unable to load weights from safetensors file"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        RuntimeError("Invalid mt19937 state"),
        OSError("No such file or directory (os error 2)"),
    ):
        assert not is_about_this_machine(error)


def test_one_that_retention_deletes_meanwhile_is_not_missed(looking: Looking) -> None:
    """It takes minutes to load the one that is whole, and the daemon keeps to its limits all the while."""
    spoil(looking.folder(6), "no state")
    middle = looking.folder(4)
    spoil(middle, "no state")

    def load(folder: Path | None) -> LoadedModel:
        to_trash(middle)
        return looking.load(folder)

    assert looking.look(load).checkpoint == looking.folder(2)
    assert looking.steps == [2]
    assert [message.split()[1].split("-")[1] for _, message in looking.told] == ["6"]


# --- a disk that fails ----------------------------------------------------------------------------------------


@pytest.fixture
def ailing(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that the disk does not give back; their directory can be renamed all the same."""
    bad: list[Path] = []
    really_open = Path.open

    def fail(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self in bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return really_open(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fail)
    return bad


def test_a_disk_that_gives_none_of_them_back_costs_none_of_them(looking: Looking, ailing: list[Path]) -> None:
    """A28: EIO of a disk that fails for a while is no proof of rot, and the base model is no way out."""
    ailing += [looking.folder(step) / "model.safetensors" for step in (4, 6)]
    flip(looking.folder(2) / "model.safetensors")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"-6-.*model\.safetensors cannot be read: Input/output error"):
            looking.look()
        assert looking.steps == [4, 6]
    assert looking.loaded_from == []
    ailing.clear()
    assert looking.look().checkpoint == looking.folder(6)


def test_what_the_disk_does_not_give_back_is_set_aside_once_an_older_one_is_loaded(
    looking: Looking, ailing: list[Path]
) -> None:
    """A30: and it is kept when the others in quarantine go, as it may be whole."""
    head = looking.folder(6)
    ailing.append(head / "optimizer.pt")
    flip(looking.folder(4) / "optimizer.pt")

    def load(folder: Path | None) -> LoadedModel:
        assert head.is_dir()
        return looking.load(folder)

    assert looking.look(load).checkpoint == looking.folder(2)
    assert looking.steps == [2]
    ailing.clear()
    note = json.loads((head.with_name(f".quarantine-{head.name}") / "QUARANTINE.json").read_text())
    assert (note["reason"], note["may_be_whole"]) == ("optimizer.pt cannot be read: Input/output error", True)
    assert [name.split("-")[2] for name in looking.store.forget_quarantined(1)] == ["4"]


def test_weights_alone_that_cannot_be_read_hold_up_nothing(looking: Looking, ailing: list[Path]) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (looking.folder(6) / name).unlink()
    write_manifest(looking.folder(6))
    ailing.append(looking.folder(6) / "model.safetensors")
    assert looking.look().checkpoint == looking.folder(4)
    assert (looking.steps, looking.told) == ([2, 4, 6], [])


# --- data that are gone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [[], [2]])
def test_nothing_falls_back_to_where_the_data_of_what_came_after_are_gone(looking: Looking, whole: list[int]) -> None:
    """Law 3: what they taught ended as `lost`, and everything after it was learned on top of that."""
    for step in {2, 4, 6} - set(whole):
        flip(looking.folder(step) / "model.safetensors")
    looking.has_data = False
    for _ in range(2):
        with pytest.raises(Conflict, match=r"ogre\.jsonl") as told:
            looking.look()
        assert all(words in str(told.value) for words in ("snapshots/", ".quarantine-", "realm rewind"))
        assert looking.steps == whole
    assert "no_checkpoint_left" not in [what for what, _ in looking.told]
    looking.has_data = True
    assert looking.look().cursor.quest_step == (2 if whole else 0)


def test_a_start_whose_data_are_pruned_ends_no_quest_as_lost(field: Field) -> None:
    """The same by way of files: retention has deleted the quest, then every checkpoint rots."""
    for found in CheckpointStore(field.paths.current_model).list():
        flip(found.path / "model.safetensors")
    gone = [OpenQuest(quest_id="ogre", path=str(field.base / "quests" / "gone.jsonl"))]
    before = field.journal.read_bytes()
    with pytest.raises(Conflict, match="as their data are gone"):
        fight(field, save_steps=2, stop_at_step=STEPS, open_quests=gone)
    assert field.journal.read_bytes() == before


# --- weights only, and what does not belong in it ----------------------------------------------------------------


def test_weights_without_their_optimizer_are_never_resumed_from(looking: Looking) -> None:
    head = looking.folder(6)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (head / name).unlink()
    write_manifest(head)
    assert looking.look().checkpoint == looking.folder(4)
    assert looking.steps == [2, 4, 6]
    assert looking.told == []


def test_without_any_whole_one_left_it_says_that_everything_is_learned_again(looking: Looking) -> None:
    for step in looking.steps:
        (looking.folder(step) / MANIFEST).unlink()
    point = looking.look()
    assert point.checkpoint is None
    assert [what for what, _ in looking.told] == ["checkpoint_quarantined"] * 3 + ["no_checkpoint_left"]


STRAYS = ("pytorch_model.bin", "adapter_config.json", "added_tokens.json", "scaler.pt", "sub/model.safetensors")


def test_files_that_nobody_hashed_never_reach_a_loader(looking: Looking, past: Field) -> None:
    """A11: full-model weights are what counts; an adapter or a pickle dropped beside them is not read."""
    head = looking.folder(6)
    for name in STRAYS:
        (head / name).parent.mkdir(exist_ok=True)
        (head / name).write_text("{}")
    point = looking.look()
    assert point.checkpoint == head
    assert point.reading is not None
    assert point.reading.parent.name == READING
    seen = {path.relative_to(point.reading).as_posix() for path in point.reading.rglob("*") if path.is_file()}
    assert seen == set(listed_files(head))
    (told,) = looking.told
    assert told[0] == "strays_ignored"
    assert all(name in told[1] for name in STRAYS)
    for name in STRAYS:
        (head / name).unlink()
    (head / "sub").rmdir()
    assert looking.look().reading == head
    assert not (head.parent / READING).exists()


def test_a_single_file_beside_shards_is_not_loaded_in_their_place(looking: Looking) -> None:
    """transformers takes `model.safetensors` where it finds one, whatever the index says."""
    head = looking.folder(6)
    weights = load_file(head / "model.safetensors")
    network = AutoModelForCausalLM.from_pretrained(head)
    (head / "model.safetensors").unlink()
    network.save_pretrained(head, max_shard_size="40KB")
    write_manifest(head)
    assert len(list(head.glob("model-*.safetensors"))) > 1
    save_file({name: torch.zeros_like(value) for name, value in weights.items()}, head / "model.safetensors")
    loaded = looking.look().loaded.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


def test_training_goes_on_from_a_checkpoint_with_strays_beside_it(past: Field, field: Field) -> None:
    """Also what the engine itself reads comes from the listed files: law 3 holds."""
    store = CheckpointStore(field.paths.current_model)
    store.trash(next(found.name for found in store.list() if found.step == 2))
    middle = next(found for found in store.list() if found.step == 4)
    store.set_head(middle.name)
    (middle.path / "scaler.pt").write_text("not a scaler")
    (middle.path / "model.safetensors.index.json").write_text("{}")
    events = fight(field, save_steps=2, stop_at_step=STEPS)
    assert [event.what for event in events if isinstance(event, Trouble)] == ["strays_ignored"]
    assert_equal_weights(past.head, field.head)


def test_a_journal_of_others_is_complained_of_before_anything_is_loaded(looking: Looking) -> None:
    spoil(looking.folder(6), "no state")
    DISK.write_atomic(looking.journal, looking.journal.read_bytes().replace(b'"tiny"', b'"others"'), durable=False)
    with pytest.raises(Conflict, match="does not go on from what"):
        looking.look()
    assert looking.steps == [2, 4, 6]
