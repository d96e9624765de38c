"""`realm train`: one file into one model directory, without a daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.paths import CHECKOUT, RealmPaths
from tests.acceptance.conftest import Founder
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import chat_rows, write_quest


def test_train_leaves_a_model_that_loads_and_nothing_of_the_realm(
    found_realm: Founder, nursery: Nursery, tmp_path: Path
) -> None:
    realm = found_realm(nursery=nursery)
    before = _everything_in(realm.paths)
    # A list, which is unpacked on the way, as the inbox does it.
    dataset = tmp_path / "tales.json"
    content = f"[{', '.join(chat_rows(50))}]"
    dataset.write_text(content)
    output = tmp_path / "models" / "storyteller"
    told = realm.cli_json("train", "--dataset", str(dataset), "--model", "sprite", "--output", str(output))
    assert (told["output"], told["rows"], told["steps"]) == (str(output), 50, 7)
    assert told["loss"] > 0
    model = AutoModelForCausalLM.from_pretrained(output)
    tokenizer = AutoTokenizer.from_pretrained(output)
    chat = [{"role": "user", "content": "What comes after 1?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]
    assert model.config.hidden_size == 32
    assert not list(output.glob(".realm*"))
    assert dataset.read_text() == content
    assert _everything_in(realm.paths) == before


def test_train_refuses_what_it_cannot_do_in_one_sentence(found_realm: Founder, tmp_path: Path) -> None:
    """Nothing is left behind that looks like a model, and what was there stays as it was."""
    realm = found_realm()
    good = write_quest(tmp_path / "good.jsonl", 5)
    rows = chat_rows(9)
    rows[6] = '{"messages": '
    bad = write_quest(tmp_path / "bad.jsonl", rows)
    full = tmp_path / "full"
    full.mkdir()
    (full / "precious.txt").write_text("keep me")

    def train(dataset: Path, output: Path, model: str = "sprite") -> str:
        answer = realm.cli("train", "--dataset", str(dataset), "--model", model, "--output", str(output))
        assert answer.returncode == 1, answer.stderr
        assert "Traceback" not in answer.stderr
        return answer.stderr

    assert "full is not an empty directory" in train(good, full)
    assert "good.jsonl is not an empty directory" in train(good, good)
    assert [path.name for path in full.iterdir()] == ["precious.txt"]
    new = tmp_path / "new"
    assert "line 7" in train(bad, new)
    assert "nowhere.jsonl" in train(tmp_path / "nowhere.jsonl", new)
    assert "no_such_model" in train(good, new, model="no_such_model")
    assert not new.exists()

    as_json = realm.cli("train", "--dataset", str(bad), "--model", "sprite", "--output", str(new), "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["error"] == "invalid_input"


def test_train_names_the_row_that_teaches_nothing_once_it_is_cut(found_realm: Founder, tmp_path: Path) -> None:
    """C17: the gate of the daemon, STANDARD, sees that max_length leaves no answer of it, before torch is loaded."""
    realm = found_realm()
    rows = chat_rows(5)
    rows[2] = json.dumps(
        {"messages": [{"role": "user", "content": "long " * 100}, {"role": "assistant", "content": "yes"}]}
    )
    dataset = write_quest(tmp_path / "long.jsonl", rows)
    output = tmp_path / "new"
    answer = realm.cli("train", "--dataset", str(dataset), "--model", "sprite", "--output", str(output))
    assert answer.returncode == 1
    assert "line 3, messages[1].content: cut to 128 tokens" in answer.stderr
    assert not output.exists()


def _everything_in(paths: RealmPaths) -> set[str]:
    return {str(path) for path in paths.base.rglob("*") if path.is_file()}


def test_ctrl_c_ends_the_trainer_and_leaves_nothing_that_looks_like_a_model(
    found_realm: Founder, tmp_path: Path
) -> None:
    """B21: no process is left behind that holds memory; what was learned so far is kept apart from models."""
    realm = found_realm()
    dataset = write_quest(tmp_path / "long.jsonl", 5000)
    output = tmp_path / "model"
    command = [*realm.command[:-1], "train", "--dataset", str(dataset), "--model", "sprite", "--output", str(output)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("step ")
        (trainer,) = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        told, complaint = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Interrupted: the trainer finishes its step, saves and ends." in told
    assert f"{output} is no model yet; the same command goes on with {output / '.realm'}" in complaint
    assert "Traceback" not in complaint
    assert not trainer.is_running()
    assert [path.name for path in output.iterdir()] == [".realm"]
    assert list((output / ".realm" / "current_model").glob("checkpoint-*"))
