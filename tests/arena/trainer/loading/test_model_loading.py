"""Loading a hero's model: seedling, directory, checkpoint, and the hub (a server on this machine stands in for it)."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from arena.rendering import Renderer
from arena.trainer.loading.model_loading import LoadedModel, load_model_and_tokenizer
from arena.trainer.loading.seedling import make_seedling
from core.errors import InvalidInput
from guild.profiles import get_profile

RECIPE = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 16, "max_position_embeddings": 512,
}  # fmt: skip
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(base_model: str, models_dir: Path, **changes: Any) -> LoadedModel:
    options = {"recipe": RECIPE, "seed": 3, "device": "cpu", "dtype": torch.float32, **changes}
    return load_model_and_tokenizer(base_model, models_dir=models_dir, **options)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seedling(tmp_path_factory.mktemp("made") / "tiny", RECIPE, seed=3)


@pytest.fixture
def broken_dir(model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_dir, tmp_path / "broken"))


def test_a_seedling_is_made_once_for_each_recipe_and_seed(tmp_path: Path) -> None:
    first = load("seedling", tmp_path)
    made = first.source_dir.stat().st_ino
    assert first.source_dir.parent == tmp_path
    assert first.source_dir.name.startswith("seedling-")
    assert first.source_dir.name.endswith("-3")
    assert load("seedling", tmp_path).source_dir.stat().st_ino == made
    assert load("seedling", tmp_path, seed=4).source_dir != first.source_dir
    assert load("seedling", tmp_path, recipe={**RECIPE, "hidden_size": 32}).source_dir != first.source_dir
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_weight_is_of_the_one_type_asked_for(model_dir: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    """D6: the model was bf16 and the trainer fp16."""
    loaded = load(str(model_dir), tmp_path, dtype=dtype)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {dtype}
    assert {parameter.device.type for parameter in loaded.model.parameters()} == {"cpu"}
    assert loaded.source_dir == model_dir


def test_a_type_that_cannot_be_trained_is_refused(model_dir: Path, tmp_path: Path) -> None:
    """D6: the model was bf16 and the trainer fp16."""
    with pytest.raises(InvalidInput, match="float16"):
        load(str(model_dir), tmp_path, dtype=torch.float16)


def test_a_checkpoint_gives_the_weights_and_the_base_still_gives_the_template(tmp_path: Path) -> None:
    """A checkpoint carries its profile's template; rows of profile native must not change by a restart."""
    fresh = load("seedling", tmp_path)
    native = "{{ messages[0].content }}"
    (fresh.source_dir / "chat_template.jinja").write_text(native, encoding="utf-8")
    with torch.no_grad():
        next(fresh.model.parameters()).add_(1.0)
    fresh.tokenizer.chat_template = get_profile("chatml").chat_template
    checkpoint = tmp_path / "checkpoint-1-20261121-0930"
    fresh.model.save_pretrained(checkpoint)
    fresh.tokenizer.save_pretrained(checkpoint)
    resumed = load("seedling", tmp_path, checkpoint=checkpoint)
    for name, weight in fresh.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight)
    assert resumed.source_dir == fresh.source_dir
    row = Renderer.load(resumed.source_dir, get_profile("native")).render(messages=[{"role": "user", "content": "hi"}])
    assert row.text == "hi"


def test_a_checkpoint_loads_when_its_base_model_is_gone(
    model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for base in ("owner/gone", str(tmp_path / "gone")):
            assert load(base, tmp_path, checkpoint=model_dir).source_dir == model_dir
    assert [record.event for record in caplog.records] == ["base_model_gone"] * 2  # type: ignore[attr-defined]


def test_torn_weights_are_an_error_that_names_the_directory(broken_dir: Path, tmp_path: Path) -> None:
    weights = broken_dir / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="broken holds no model"):
        load(str(broken_dir), tmp_path)


def test_a_missing_weight_is_an_error_and_not_filled_with_random_numbers(broken_dir: Path, tmp_path: Path) -> None:
    tensors = load_file(broken_dir / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, broken_dir / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"lacks 1 of the model's weights.*up_proj"):
        load(str(broken_dir), tmp_path)


def test_pickled_weights_are_not_read(broken_dir: Path, tmp_path: Path) -> None:
    torch.save(load_file(broken_dir / "model.safetensors"), broken_dir / "pytorch_model.bin")
    (broken_dir / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match="holds no model") as caught:
        load(str(broken_dir), tmp_path)
    assert "safetensors" in (caught.value.hint or "")


def test_a_directory_without_tokenizer_is_an_error(broken_dir: Path, tmp_path: Path) -> None:
    (broken_dir / "tokenizer.json").unlink()
    with pytest.raises(InvalidInput, match="broken holds no tokenizer"):
        load(str(broken_dir), tmp_path)


@pytest.mark.parametrize("name", ["gone", "../x", "owner/name/more"])
def test_what_is_neither_path_nor_hub_id_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="neither seedling"):
        load(name, tmp_path)


LOAD_FROM_HUB = """
import json, sys
from pathlib import Path
from core.errors import RealmError
from core.lasting_imports import lasting_imports
with lasting_imports():
    import torch
    from arena.trainer.loading.model_loading import load_model_and_tokenizer
models_dir, *names = sys.argv[1:]
for name in names:
    try:
        loaded = load_model_and_tokenizer(
            name, models_dir=Path(models_dir), recipe=None, seed=0, device="cpu", dtype=torch.float32
        )
    except RealmError as error:
        print(json.dumps(error.to_json()))
    else:
        print(json.dumps({"source_dir": str(loaded.source_dir)}))
"""


def load_from_hub(models_dir: Path, *names: str, **environment: str) -> list[dict[str, Any]]:
    """In a process of its own: the hub client reads its environment at import."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_FROM_HUB, str(models_dir), *names],
        env={**os.environ, "HF_HOME": str(models_dir / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def hub(model_dir: Path) -> Iterator[str]:
    """The few routes of the hub that a download of `tester/tiny` needs."""
    files = {file.name: file.read_bytes() for file in model_dir.iterdir()}
    files["pytorch_model.bin"] = b"never fetched"

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            listing = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ]
            if path.startswith("/api/models/tester/tiny/tree/"):
                found: bytes | None = json.dumps(listing).encode()
            elif path.startswith("/api/models/tester/tiny"):
                siblings = [{"rfilename": name} for name in files]
                found = json.dumps({"id": "tester/tiny", "sha": COMMIT, "siblings": siblings}).encode()
            else:
                found = files.get(path.rpartition("/")[2]) if path.startswith("/tester/tiny/resolve/") else None
            self.send_response(200 if found is not None else 404)
            if found is None:
                self.send_header("X-Error-Code", "RepoNotFound")
            found = found or b""
            self.send_header("ETag", f'"{hashlib.sha1(found).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            if body:
                self.wfile.write(found)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_model_is_fetched_whole_and_a_wrong_name_is_told_as_such(hub: str, tmp_path: Path) -> None:
    fetched, wrong = load_from_hub(tmp_path, "tester/tiny", "tester/tiniest", HF_ENDPOINT=hub)
    folder = tmp_path / "tester--tiny"
    assert fetched == {"source_dir": str(folder)}
    assert {"model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    assert not (folder / "pytorch_model.bin").exists()
    assert not (folder / ".cache").exists()
    assert wrong["error"] == "invalid_input"
    assert "tester/tiniest" in wrong["message"]
    assert "HF_TOKEN" in wrong["message"]


def test_without_a_network_a_fetched_model_loads_and_another_one_says_what_to_do(
    model_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(model_dir, tmp_path / "tester--tiny")
    fetched, away = load_from_hub(tmp_path, "tester/tiny", "tester/other", HF_HUB_OFFLINE="1")
    assert fetched == {"source_dir": str(tmp_path / "tester--tiny")}
    assert away["error"] == "unavailable"
    assert "tester/other" in away["message"]
    assert f"put a model directory under {tmp_path} and set model_name" in away["message"]
    assert not (tmp_path / "tester--other").exists()
