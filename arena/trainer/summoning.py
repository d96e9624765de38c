"""Putting the trainer together: hero, journal, checkpoint and engine become one battle."""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from pathlib import Path

import psutil
import torch
from transformers.utils import logging as transformers_logging

from arena.annals.ancestry import is_ancestor
from arena.cursor import Cursor, read_cursor
from arena.journal import JOURNAL_NAME, End, Genesis, Journal, is_same_history, read_history
from arena.protocol import Begin, Loading, QuestEnded, Ready, Trouble
from arena.rendering import Renderer
from arena.supervision.position_file import PositionFile
from arena.trainer.battle import Battle
from arena.trainer.checkpointing import save_checkpoint
from arena.trainer.engine import BattleTrainer, training_arguments
from arena.trainer.evaluation import ValidationSet, load_validation_rows
from arena.trainer.link import DaemonLink
from arena.trainer.model_loading import LoadedModel, load_model_and_tokenizer
from arena.trainer.orders import Orders
from arena.trainer.quest_taking import ClaimClock, QuestTaker, ended
from arena.trainer.saving import Saver
from arena.trainer.situation import Situation, utc_now
from core.errors import Conflict
from core.paths import RealmPaths
from guild.profiles import get_profile
from vault.checkpoints import CheckpointStore
from vault.weights import weights_digest

logger = logging.getLogger(__name__)


def summon(paths: RealmPaths, link: DaemonLink, begin: Begin, position: PositionFile) -> tuple[Battle, BattleTrainer]:
    """Load everything; the caller runs `trainer.train(resume_from_checkpoint=battle.resume_from)`."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # Its warnings are about runs that end with their data; they would alarm whoever reads trainer-output.log.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    device = _choose_device(begin.device)
    torch.set_num_threads(begin.threads or psutil.cpu_count(logical=False) or 1)
    store = CheckpointStore(paths.current_model)
    store.sweep()
    checkpoint = _newest_valid(store, link, paths.current_model / JOURNAL_NAME)
    link.send(Loading(what=f"loading {checkpoint.name if checkpoint else begin.base_model}"))
    loaded = load_model_and_tokenizer(
        begin.base_model, models_dir=paths.models, recipe=begin.recipe, seed=begin.seed,
        device=device, dtype=torch.float32, checkpoint=checkpoint,
    )  # fmt: skip
    template = get_profile(begin.defaults.profile).chat_template
    if template is not None:
        # The checkpoint must carry the template that its weights were trained with.
        loaded.tokenizer.chat_template = template
    cursor = read_cursor(checkpoint) if checkpoint else Cursor()
    journal = _open_journal(paths, begin, loaded, checkpoint, position)
    covered = _covered(journal, begin, cursor)
    _withdraw(journal, begin, cursor)
    clock = ClaimClock()
    renderer_for = lru_cache(partial(_load_renderer, loaded.source_dir, clock))
    validation = ValidationSet(
        load_validation_rows(
            paths.validation,
            renderer=renderer_for(begin.defaults.profile),
            settings=begin.defaults,
            limit=begin.eval_rows,
        ),
        begin.defaults,
    )
    situation = Situation(
        link=link, journal=journal, position=position, begin=begin, cursor=cursor,
        orders=Orders(link, pause_reason=begin.pause_reason),
    )  # fmt: skip
    battle = Battle(
        situation, QuestTaker(situation, renderer_for, clock), Saver(situation, measures=bool(validation.rows)),
        ready=_ready(begin, loaded, checkpoint, journal, cursor, covered, device),
        resume_from=str(checkpoint) if checkpoint else None,
    )  # fmt: skip
    arguments = training_arguments(paths.current_model, device=device, seed=begin.seed)
    trainer = BattleTrainer(
        model=loaded.model, tokenizer=loaded.tokenizer, args=arguments, fp_precision=begin.fp_precision, battle=battle,
        save=partial(save_checkpoint, store=store, journal=journal.path, hero=begin.hero, base_model=begin.base_model),
        evaluation=validation.loss,
    )  # fmt: skip
    return battle, trainer


def _choose_device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Conflict("trainer.device is cuda, but torch finds no CUDA device.", hint="Set it to auto or cpu.")
    return wanted


def _newest_valid(store: CheckpointStore, link: DaemonLink, journal: Path) -> Path | None:
    """HEAD, else its newest whole ancestor; what a rewind left behind is passed over, whatever its step."""
    history = read_history(journal)

    def may_go_on(folder: Path) -> bool:
        copy = folder / JOURNAL_NAME
        # One of quite another journal is not passed over but complained of, see `_check_same_history`.
        return not copy.exists() or not is_same_history(copy, journal) or is_ancestor(folder, history)

    found, quarantined = store.newest_valid(is_ancestor=may_go_on)
    for torn in quarantined:
        message = f"Checkpoint {torn.name} was set aside: {'; '.join(torn.reasons)}."
        logger.error(message, extra={"event": "checkpoint_quarantined"})
        link.send(Trouble(what="checkpoint_quarantined", message=message))
    return found.path if found else None


def _open_journal(
    paths: RealmPaths, begin: Begin, loaded: LoadedModel, checkpoint: Path | None, position: PositionFile
) -> Journal:
    """The journal, with its first line written for a new hero.

    Raises `Conflict` when the model that training would start from is not the one that the journal tells of.
    """
    file = paths.current_model / JOURNAL_NAME
    if checkpoint is not None:
        _check_same_history(checkpoint, file)
    journal = Journal(file)
    genesis = journal.history.genesis
    if genesis is not None and checkpoint is not None:
        return journal
    weights = weights_digest(loaded.source_dir)
    if genesis is None:
        # What an earlier history left behind says nothing about this one.
        position.furthest = (0, 0)
        journal.append(Genesis(seq=1, at=utc_now(), hero=begin.hero, base_model=begin.base_model, weights=weights))
    elif genesis.weights != weights and genesis.checkpoint is not None:
        raise Conflict(
            f"{file} began with the adopted {genesis.checkpoint}; neither that nor a later checkpoint is whole.",
            hint="Adopt it again with `realm ledger adopt`, or go back to one of another branch with `realm rewind`.",
        )
    elif genesis.weights != weights:
        raise Conflict(
            f"The weights in {loaded.source_dir} are not those that {file} began with.",
            hint=f"Put the old ones back, or begin a new model with `realm hero use {begin.hero} --fresh`.",
        )
    return journal


def _check_same_history(checkpoint: Path, journal: Path) -> None:
    """A checkpoint continues only the journal it was trained from: which rows it holds is unknown otherwise."""
    copy = checkpoint / JOURNAL_NAME
    if not journal.exists():
        raise Conflict(
            f"{journal} is missing, but {checkpoint.name} was trained from it.", hint=f"Copy it back from {copy}."
        )
    if copy.exists() and not is_same_history(copy, journal):
        raise Conflict(
            f"{journal} does not go on from what {checkpoint.name} was trained with.",
            hint=f"Compare it with {copy}; the two must begin alike.",
        )


def _covered(journal: Journal, begin: Begin, cursor: Cursor) -> list[QuestEnded]:
    """Open quests that had ended within the checkpoint: the daemon may have died before it heard of that."""
    open_ids = {quest.quest_id for quest in begin.open_quests if not quest.sealed}
    history = journal.history
    return [
        ended(journal, ordinal, last_step=0)
        for ordinal, claim in history.claims.items()
        if ordinal < cursor.ordinal and claim.quest_id in open_ids
    ]


def _withdraw(journal: Journal, begin: Begin, cursor: Cursor) -> None:
    """End quests with three strikes where the checkpoint stands, so that the others replay without them."""
    reasons = {withdrawal.quest_id: withdrawal.reason for withdrawal in begin.withdrawals}
    history = journal.history
    for ordinal, claim in sorted(history.claims.items()):
        if claim.quest_id not in reasons or ordinal < cursor.ordinal or ordinal in history.ends:
            continue
        journal.append(
            End(
                seq=history.seq + 1, at=utc_now(), ordinal=ordinal,
                quest_step=cursor.quest_step if ordinal == cursor.ordinal else 0,
                outcome="withdrawn", reason=reasons[claim.quest_id],
            )
        )  # fmt: skip


def _ready(
    begin: Begin,
    loaded: LoadedModel,
    checkpoint: Path | None,
    journal: Journal,
    cursor: Cursor,
    covered: list[QuestEnded],
    device: str,
) -> Ready:
    claims = journal.history.claims
    return Ready(
        step=0,
        checkpoint=checkpoint.name if checkpoint else None,
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        device=f"{device}, {torch.get_num_threads()} threads",
        replay=[claim.quest_id for ordinal, claim in sorted(claims.items()) if ordinal >= cursor.ordinal],
        covered=covered,
    )


def _load_renderer(source_dir: Path, clock: ClaimClock, profile: str) -> Renderer:
    return Renderer.load(source_dir, get_profile(profile), clock=clock)
