"""One realm on three hosts: a checkpoint that one has trained is found, brought over and loaded on another, whatever is
killed meanwhile and whatever the link does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from core.checkpoint_ledger import CheckpointLedger
from core.paths import CHECKOUT
from tests.acceptance.quest_files import write_quest
from tests.acceptance.three_hosts import ADDRESSES, INFERENCE, NAS, TRAINER, ThreeHosts
from tests.vault.transfer.byte_service import same_tree
from tests.vault.transfer.meddler import meddling
from tests.waiting import wait_until
from vault.manifest import check_manifest

WITHOUT_TORCH = """\
import json, sys
for name in ("torch", "transformers", "accelerate", "safetensors", "tokenizers", "numpy"):
    sys.modules[name] = None  # whoever imports it now fails
"""
NEEDED = """
needed = {name.split(".")[0] for name, found in sys.modules.items() if found is not None}
print(json.dumps({"path": path, "needed": sorted(needed - set(sys.stdlib_module_names))}))
"""
OF_HTTPX = {"anyio", "certifi", "click", "h11", "httpcore", "idna", "pygments", "rich", "sniffio", "typing_extensions",
            "zstandard"}  # fmt: skip
"""What httpx brings, and what it uses where it is there."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeHosts]:
    """All three are up, and the trainer has learned one quest."""
    hosts = ThreeHosts(tmp_path_factory.mktemp("hosts"))
    try:
        write_quest(hosts.trainer.paths.inbox / "first.jsonl", 40)
        hosts.trainer.up(OMP_NUM_THREADS="1")
        for host in (INFERENCE, NAS):
            hosts.join(host)
            hosts.open_officer(host)
        hosts.trainer.wait_until_done(1)
        yield hosts
    finally:
        hosts.close()


@pytest.fixture(scope="module")
def checkpoint(hosts: ThreeHosts) -> Path:
    """The one that was trained."""
    latest = CheckpointLedger.of(hosts.trainer.paths).get_latest()
    assert latest is not None
    assert latest.step > 0
    return hosts.trainer.paths.current_model / latest.canonical_name


def asset_id(checkpoint: Path) -> str:
    return f"checkpoint_{checkpoint.name.split('-')[1]}"


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def told(ended: subprocess.CompletedProcess[str]) -> Any:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


def remote_inference_page(hosts: ThreeHosts) -> list[str]:
    """The Python of REMOTE_INFERENCE, with the address and the place of this test."""
    text = (CHECKOUT / "REMOTE_INFERENCE.md").read_text(encoding="utf-8")
    text = text.replace("192.168.1.10:8767", hosts.trainer_address)
    text = text.replace("/srv/models", str(hosts.paths(INFERENCE).models))
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def installed_by_the_page() -> set[str]:
    text = (CHECKOUT / "REMOTE_INFERENCE.md").read_text(encoding="utf-8")
    packages, *_ = re.findall(r"^\.venv/bin/pip install -c constraints\.txt (.+)$", text, re.MULTILINE)
    return set(packages.split())


def test_a_checkpoint_is_found_brought_over_and_loaded_as_the_page_tells(
    hosts: ThreeHosts, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A18: nobody noticed that the untrained base model answered. G6: the bytes come to the caller's disk. G15: which
    checkpoint it is stands in it. G1, G10: nothing goes without the token."""
    found = told(hosts.realm(INFERENCE, "--json", "vault", "locate", "latest"))
    assert (found["asset_id"], found["best_location"]["stronghold"]) == (asset_id(checkpoint), TRAINER)
    assert found["best_location"]["path"] == str(checkpoint)
    find, fetch, load, record, follow, ask = remote_inference_page(hosts)
    script = [WITHOUT_TORCH, find, fetch, NEEDED]
    ended = subprocess.run(
        [sys.executable, "-c", "".join(script)], cwd=CHECKOUT, env=hosts.environment(INFERENCE), capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    first, last = ended.stdout.splitlines()
    here = hosts.paths(INFERENCE).models / checkpoint.name
    assert (first, json.loads(last)["path"]) == (f"{asset_id(checkpoint)} {checkpoint}", str(here))
    assert same_tree(checkpoint, here)
    assert check_manifest(here) == []
    needed = {name for name in json.loads(last)["needed"] if not name.startswith("_")} - {"core", "vault"} - OF_HTTPX
    assert needed == installed_by_the_page()
    for name, value in hosts.environment(INFERENCE).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REALM_TOKEN", raising=False)
    seen: dict[str, Any] = {}
    for block in (find, load.replace("(path)", f"({str(here)!r})"), f"path = {str(here)!r}", record, follow, ask):
        exec(compile(block, "REMOTE_INFERENCE.md", "exec"), seen)
    assert (seen["record"]["canonical_name"], seen["path"]) == (checkpoint.name, str(here))
    assert seen["newer"](seen["client"], seen["newest"].asset_id) is None
    assert seen["newer"](seen["client"], "checkpoint_0") == str(here)
    loaded, trained = seen["model"].state_dict(), load_file(checkpoint / "model.safetensors")
    assert all(loaded[name].equal(trained[name]) for name in trained)
    (base,) = hosts.trainer.paths.models.glob("*/model.safetensors")
    assert not all(tensor.equal(trained[name]) for name, tensor in load_file(base).items())
    prompt = seen["tokenizer"]("What comes after 7?", return_tensors="pt")
    assert seen["model"].generate(**prompt, max_new_tokens=2).shape[1] > prompt["input_ids"].shape[1]


def test_a_checkpoint_is_sent_and_known_on_both_sides_in_the_same_act(hosts: ThreeHosts, checkpoint: Path) -> None:
    """A4: a checkpoint was deployed, and neither ledger nor catalog was told."""
    sent = told(hosts.realm(TRAINER, "--json", "vault", "transfer", "latest", NAS))
    there = hosts.paths(NAS).base / checkpoint.name
    assert (sent["state"], sent["destination"]) == ("done", str(there))
    assert same_tree(checkpoint, there)
    found = told(hosts.realm(TRAINER, "--json", "vault", "locate", asset_id(checkpoint)))
    assert {place["stronghold"]: place["path"] for place in found["locations"]} == {
        "local_vault": str(checkpoint), NAS: str(there)
    }  # fmt: skip
    assert {place["status"] for place in found["locations"]} == {"verified"}


def test_whoever_fetches_is_killed_and_the_next_one_ends_over_a_link_that_is_cut_fifty_times(
    hosts: ThreeHosts, checkpoint: Path
) -> None:
    """A30: an interrupted copy left half a checkpoint, which was taken for the latest."""
    models = hosts.paths(NAS).models
    killed = hosts.realm(NAS, "vault", "fetch", "latest", REALM_CRASH_AT="pull.chunk")
    assert killed.returncode == -9, killed.stderr
    assert [path.name for path in models.iterdir() if not path.name.startswith(".")] == []
    with meddling(f"http://{hosts.trainer_address}", seed=6) as meddler:
        meddler.cut(50, mean_bytes=size_of(checkpoint) // 70)
        with hosts.linked_by(NAS, TRAINER, "vault", meddler.url):
            fetched = told(hosts.realm(NAS, "--json", "vault", "fetch", "latest"))
        assert meddler.cuts_made == 50
    assert fetched["cuts"] >= 50
    assert Path(fetched["path"]) == models / checkpoint.name
    assert [path.name for path in models.iterdir()] == [checkpoint.name]
    assert same_tree(checkpoint, models / checkpoint.name)


def test_whoever_hands_out_is_killed_and_a_corrupted_byte_is_caught(hosts: ThreeHosts, checkpoint: Path) -> None:
    """A30: from the host to which the checkpoint was sent."""
    target = hosts.paths(INFERENCE).models / "second" / checkpoint.name
    limit = str(size_of(checkpoint) / 2_000_000)  # two seconds
    with meddling(f"http://{ADDRESSES[NAS]}:{hosts.officer_ports[NAS]}", seed=7) as meddler:
        meddler.flips_left = 1
        with hosts.linked_by(INFERENCE, NAS, "branch", meddler.url):
            words = ("--json", "vault", "fetch", asset_id(checkpoint), "--zone", NAS, "--to", str(target))
            with hosts.start(INFERENCE, *words, "--limit", limit) as fetching:
                wait_until(lambda: any(map(_has_some, target.parent.glob(".pull-*/chunks"))), 40, "nothing came")
                hosts.kill9_officer(NAS)
                assert not target.exists()
                hosts.open_officer(NAS)
                out, err = fetching.communicate(timeout=60)
        assert meddler.flips_left == 0
    assert fetching.returncode == 0, err
    fetched = json.loads(out)
    assert (fetched["cuts"] >= 1, fetched["chunks_refetched"] >= 1) == (True, True)
    assert same_tree(checkpoint, target)
    assert [path.name for path in target.parent.iterdir()] == [checkpoint.name]


def _has_some(record: Path) -> bool:
    """Whether a chunk is noted as there."""
    return any(record.read_bytes())
