"""What an interrupted `realm train` left in its output directory: whether the same command goes on with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from arena.journal import JOURNAL_NAME, History, read_history
from arena.lora import same_kind
from arena.protocol import Begin, Claim, QuestSettings
from core.errors import Conflict
from core.files import DISK, read_json
from core.instance import InstanceLock
from core.paths import RealmPaths

WORK_FOLDER = ".realm"

PUBLISHING = "publishing.json"
"""In the work folder: its checkpoint is finished, and on its way into the output directory."""


class DoesNotFit(Conflict):
    """What an interrupted run has begun is not what is to be learned now."""


def unfinished_work(output: Path) -> Path | None:
    """The folder of a run into `output` that did not come to its end; None when there is none."""
    work = output.resolve() / WORK_FOLDER
    return work if work.is_dir() else None


def check_output(output: Path) -> None:
    """Raise `Conflict` unless `output` is missing, empty, or holds nothing but what interrupted runs left.

    That may be a part of a finished model: see `finish_publishing`.
    """
    work = RealmPaths(output / WORK_FOLDER)
    # The trainer of a run that was killed goes on for as long as it takes to save.
    for lock, who in ((work.lock, "Another `realm train`"), (work.current_model / ".lock", "A trainer")):
        holder = InstanceLock.holder(lock)
        if holder is not None:
            raise Conflict(
                f"{who} (process {holder.get('pid')}) works on {output}.",
                hint="Wait for its end, or name a new directory.",
            )
    if (work.base / PUBLISHING).exists():
        return
    if output.exists() and not (output.is_dir() and all(_is_ours(entry) for entry in output.iterdir())):
        raise Conflict(f"{output} is not an empty directory.", hint="Name a new directory.")


def begun_quest(work: RealmPaths, begin: Begin, claim: Claim) -> str | None:
    """Id of the quest that the run in `work` has begun, with which `claim` goes on; None when it has begun none.

    Raises `DoesNotFit` naming what differs when that run learned something else, or with other settings.
    """
    history = read_history(work.current_model / JOURNAL_NAME)
    differences = _differences(history, begin, claim)
    if differences:
        raise DoesNotFit(f"An interrupted run lies here that had begun with {', '.join(differences)}.")
    return history.claims[1].quest_id if history.claims else None


def publish(work: RealmPaths, checkpoint: Path, told: dict[str, Any]) -> None:
    """Move the files of a finished checkpoint up into the output directory, and drop the work folder.

    `told` is what `finish_publishing` shall tell should this be cut off.
    """
    DISK.write_json(work.base / PUBLISHING, {**told, "checkpoint": checkpoint.name}, durable=True)
    finish_publishing(work)


def finish_publishing(work: RealmPaths) -> dict[str, Any] | None:
    """Do what is left to do of a `publish`, and return what it was told; None when none was begun."""
    told = read_json(work.base / PUBLISHING)
    if not isinstance(told, dict):
        return None
    output, checkpoint = work.base.parent, work.current_model / str(told["checkpoint"])
    for file in sorted(checkpoint.iterdir()) if checkpoint.is_dir() else []:
        file.rename(output / file.name)
    DISK.fsync_dir(output)
    shutil.rmtree(work.base, ignore_errors=True)
    return told


def set_aside(work: RealmPaths) -> Path:
    """Rename the folder of a run that cannot be gone on with; returns its new place, beside the old one."""
    number = 1
    while (aside := work.base.with_name(f"{WORK_FOLDER}-{number}")).exists():
        number += 1
    return work.base.rename(aside)


def _is_ours(entry: Path) -> bool:
    return entry.name.startswith(WORK_FOLDER)


def _differences(history: History, begin: Begin, claim: Claim) -> list[str]:
    genesis, begun = history.genesis, history.claims.get(1)
    found = []
    if genesis is not None and (genesis.hero, genesis.base_model) != (begin.hero, begin.base_model):
        found.append("another model")
    elif genesis is not None and not same_kind(genesis.lora, begin.lora):
        found.append("another kind of adapter")
    if begun is not None and (begun.content_hash, begun.schema_id) != (claim.content_hash, claim.schema_id):
        found.append("another dataset")
    if begun is not None and _as_asked(begun.settings, claim.settings) != claim.settings:
        found.append("other settings")
    return found


def _as_asked(begun: QuestSettings, asked: QuestSettings) -> QuestSettings:
    """The settings of a claim without what the trainer filled in."""
    tokens = begun.micro_batch_tokens if asked.micro_batch_tokens else 0
    return replace(begun, micro_batch_tokens=tokens, pass_tokens=asked.pass_tokens, arithmetic=asked.arithmetic)
