"""What may become a checkpoint of the realm though it was made elsewhere, and what is copied of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.errors import Conflict, InvalidInput
from tests.arena.hall.model_dirs import make_byte_model, write_weights
from vault.adoption import check_source, copy_model, find_same_weights, told_step, write_trainer_state
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest, write_manifest
from vault.weights import count_parameters, weight_files, weight_shapes, weights_digest


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    (tmp_path / "current_model").mkdir()
    return CheckpointStore(tmp_path / "current_model")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_byte_model(tmp_path / "elsewhere")


def copied(store: CheckpointStore, source: Path) -> dict[str, bytes]:
    staging = store.stage()
    copy_model(check_source(source, store), staging)
    assert not any(path.is_symlink() for path in staging.iterdir())
    return {path.name: path.read_bytes() for path in staging.iterdir()}


def test_the_model_is_copied_and_everything_else_is_left_behind(store: CheckpointStore, source: Path) -> None:
    for name in (
        "cursor.json",
        "journal.jsonl",
        ".ledger.json",
        "modeling_evil.py",
        "training_args.bin",
        "rng_state.pth",
    ):
        (source / name).write_text("{}")
    names = {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors"}
    assert set(copied(store, source)) == names
    (source / "optimizer.pt").write_bytes(b"o")
    assert set(copied(store, source)) == names
    (source / "scheduler.pt").write_bytes(b"s")
    assert set(copied(store, source)) == names | {"optimizer.pt", "scheduler.pt"}


def test_pickled_weights_are_refused_with_the_way_out(store: CheckpointStore, source: Path) -> None:
    """A pickle runs its code when it is read."""
    (source / "model.safetensors").unlink()
    (source / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(InvalidInput, match=r"pickled \(pytorch_model\.bin\)") as refused:
        check_source(source, store)
    assert "save_pretrained" in str(refused.value)


def test_a_torn_directory_is_refused(store: CheckpointStore, source: Path) -> None:
    """A30: a copy that was cut short verified, as it was only looked for."""
    whole = (source / "model.safetensors").read_bytes()
    write_manifest(source)
    check_source(source, store)
    (source / "model.safetensors").write_bytes(whole[:-8])
    with pytest.raises(InvalidInput, match=r"torn: model\.safetensors has"):
        check_source(source, store)
    (source / "MANIFEST.json").unlink()
    with pytest.raises(InvalidInput, match=r"model\.safetensors is torn"):
        weight_shapes(source)


def test_a_shard_that_is_missing_is_named(store: CheckpointStore, source: Path) -> None:
    (source / "model.safetensors").rename(source / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(InvalidInput, match=r"lacks model-00002-of-00002\.safetensors"):
        check_source(source, store)
    write_weights(source / "model-00002-of-00002.safetensors", hidden=4)
    assert len(weight_files(check_source(source, store))) == 2
    assert count_parameters(weight_shapes(source)) == 259 * 4 + 8 * 4
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(InvalidInput, match="no weight file of this directory"):
        check_source(source, store)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_link_that_leads_out_of_the_directory_is_refused(
    store: CheckpointStore, source: Path, tmp_path: Path, name: str
) -> None:
    """Law 8: every path is contained in its root."""
    (source / name).rename(tmp_path / f"secret-{name}")
    (source / name).symlink_to(tmp_path / f"secret-{name}")
    with pytest.raises(InvalidInput, match="leads out of the directory"):
        check_source(source, store)


def test_links_within_the_directory_and_into_the_blobs_of_a_hub_cache_are_followed(
    store: CheckpointStore, tmp_path: Path
) -> None:
    snapshot = make_byte_model(tmp_path / "models--a--b" / "snapshots" / "abc")
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    (snapshot / "model.safetensors").rename(blobs / "cafe")
    (snapshot / "model.safetensors").symlink_to(Path("..", "..", "blobs", "cafe"))
    (snapshot / "tokenizer.json").rename(snapshot / "real.json")
    (snapshot / "tokenizer.json").symlink_to("real.json")
    outer = tmp_path / "link"
    outer.symlink_to(snapshot)
    assert copied(store, outer)["model.safetensors"] == (blobs / "cafe").read_bytes()


def test_what_belongs_to_the_present_model_is_not_adopted(store: CheckpointStore, tmp_path: Path) -> None:
    inside = make_byte_model(store.root / "branches" / "rewound-3" / "checkpoint-5-20261121-0930")
    link = tmp_path / "link"
    link.symlink_to(inside)
    for place in (inside, link, store.root, tmp_path):
        with pytest.raises(Conflict, match="present model already"):
            check_source(place, store)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_what_is_no_model_directory_is_refused(store: CheckpointStore, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match="not a directory"):
        check_source(tmp_path / place, store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"no config\.json"):
        check_source(tmp_path / "empty", store)


def test_a_pipe_in_place_of_a_file_does_not_hang(store: CheckpointStore, source: Path) -> None:
    os.mkfifo(source / "vocab.json")
    with pytest.raises(InvalidInput, match="not a regular file"):
        check_source(source, store)


def test_of_a_checkpoint_only_what_was_saved_with_it_comes_along(source: Path, tmp_path: Path) -> None:
    """A11: a file that was dropped beside the weights is not a part of them."""
    write_manifest(source)
    (source / "added_tokens.json").write_text("{}")
    (tmp_path / "staging").mkdir()
    copy_model(source, tmp_path / "staging")
    assert (tmp_path / "staging" / "model.safetensors").is_file()
    assert not (tmp_path / "staging" / "added_tokens.json").exists()


def test_weights_that_are_here_are_found_whatever_their_directory_is_called(
    store: CheckpointStore, source: Path
) -> None:
    digest = weights_digest(source)
    assert find_same_weights(store, digest) is None
    staging = store.stage()
    copy_model(source, staging)
    name = "checkpoint-5-20261121-0930"
    store.publish(staging, name)
    assert check_manifest(store.root / name) == []
    assert find_same_weights(store, digest) == name
    store.forget_head()
    store.move_to_branch(name, "rewound-7")
    assert find_same_weights(store, digest) == name
    write_weights(source / "model.safetensors", fill=0.25)
    assert find_same_weights(store, weights_digest(source)) is None


def test_of_a_foreign_trainer_state_only_step_and_log_are_taken(source: Path, tmp_path: Path) -> None:
    """A5: the step came from the name; unknown is null and NaN no number."""
    log = [{"loss": 0.5, "step": step} for step in range(150)] + [{"loss": float("nan"), "step": 150}]
    state = {"global_step": 150, "log_history": log, "stateful_callbacks": {"TrainerControl": {}}, "max_steps": 7}
    assert told_step(source) is None
    (source / "trainer_state.json").write_text(json.dumps(state))
    assert told_step(source) == 150
    write_trainer_state(source, tmp_path, 190000)
    written = json.loads((tmp_path / "trainer_state.json").read_text())
    assert set(written) == {"global_step", "train_batch_size", "log_history"}
    assert (written["global_step"], len(written["log_history"])) == (190000, 100)
    assert written["log_history"][-1] == {"loss": None, "step": 150}
