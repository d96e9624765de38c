"""Putting the trainer together: hero, journal, checkpoint and engine become one battle."""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from pathlib import Path

import psutil
import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from arena.cursor import Cursor
from arena.examinations import Examinations
from arena.journal import JOURNAL_NAME, ClaimEntry, End, Genesis, Journal, read_history
from arena.lora import same_kind, told
from arena.memory.machine import peak_memory
from arena.protocol import Begin, Loading, Lora, QuestEnded, Ready, Trouble
from arena.rendering import Renderer
from arena.supervision.position_file import PositionFile
from arena.tokens.token_cache import TokenCache
from arena.tokens.token_recipe import made_with
from arena.trainer.adapters import count_trained
from arena.trainer.battle import Battle
from arena.trainer.computing.capability import look_at
from arena.trainer.computing.fitting import fit
from arena.trainer.computing.threads import told_threads
from arena.trainer.engine import BattleTrainer, training_arguments
from arena.trainer.evaluation import ValidationSet, load_validation_rows
from arena.trainer.examination import Examiner
from arena.trainer.healing.going_back import finish_going_back
from arena.trainer.healing.healer import Healer
from arena.trainer.link import DaemonLink
from arena.trainer.loading.model_loading import LoadedModel, base_directory, load_model_and_tokenizer
from arena.trainer.loading.resuming import Load, find_resume_point
from arena.trainer.measuring import Measuring
from arena.trainer.memory_watch import MemoryWatch
from arena.trainer.orders import Orders
from arena.trainer.row_notes import RowNotes
from arena.trainer.saving.save_room import SaveRoom
from arena.trainer.saving.saver import Saver
from arena.trainer.saving.writing import CheckpointWriter
from arena.trainer.situation import Situation, utc_now
from arena.trainer.stream.data_at_hand import data_at_hand, quest_file
from arena.trainer.stream.quest_taking import ClaimClock, QuestTaker, ended
from core.checkpoint_records import read_sidecar
from core.errors import Conflict
from core.files import DISK, Files
from core.paths import RealmPaths
from guild.profiles import get_profile
from vault.checkpoints import CheckpointStore
from vault.weights import weights_digest

logger = logging.getLogger(__name__)


def summon(
    paths: RealmPaths, link: DaemonLink, begin: Begin, position: PositionFile, *, files: Files = DISK
) -> tuple[Battle, BattleTrainer]:
    """Load everything; the caller runs `trainer.train(resume_from_checkpoint=battle.resume_from)`."""
    quieten_transformers()
    device, memory_before = _choose_device(begin.device), peak_memory() or 0
    set_threads(begin)
    store = CheckpointStore(paths.current_model, files)
    store.sweep()
    load = _loader(paths, link, begin, device)
    link.send(Loading(what="looking for the checkpoint to go on from"))
    told = {quest.quest_id: Path(quest.path) for quest in begin.open_quests}
    has_data = data_at_hand(paths, told.get)
    point = find_resume_point(store, paths.current_model / JOURNAL_NAME, load, partial(_tell, link), has_data)
    checkpoint, loaded, cursor = point.checkpoint, point.loaded, point.cursor
    _set_template(loaded.tokenizer, begin)
    journal = _open_journal(paths, begin, loaded, checkpoint, position, files)
    covered = _covered(journal, begin, cursor)
    _withdraw(journal, begin, cursor)
    machine, again = look_at(device, begin.processes), _to_compute_again(journal, cursor)
    fitted = fit(begin, paths.current_model, loaded.model, machine, again, partial(_tell, link))
    link.send(Loading(what=fitted.told))
    clock = ClaimClock()
    renderer_for = lru_cache(partial(_load_renderer, loaded.source_dir, clock))
    validation = _validation_set(paths, begin, renderer_for(begin.defaults.profile), link)
    situation = Situation(
        link=link, journal=journal, position=position, begin=begin, cursor=cursor,
        orders=Orders(link, pause_reason=begin.pause_reason),
        row_notes=RowNotes(paths.row_books, begin.row_book_bytes, files=files),
    )  # fmt: skip
    finish_going_back(situation, store, checkpoint)
    ready = _ready(begin, loaded, checkpoint, journal, cursor, covered, device)
    last = read_sidecar(checkpoint) if checkpoint else None
    saver = Saver(
        situation,
        CheckpointWriter(
            store, journal=journal.path, hero=begin.hero, base_model=begin.base_model, seed=begin.seed,
            on_done=link.wake, files=files,
        ),
        SaveRoom(
            paths.current_model, parameters=count_trained(loaded.model), reserve_bytes=begin.disk_reserve_bytes,
            last_size=last.size_bytes if last and last.has_optimizer else None, files=files,
        ),
        Measuring(situation, has_rows=bool(validation.rows)),
    )  # fmt: skip
    tokens = _token_cache(paths, begin, renderer_for(begin.defaults.profile), files)
    taker = QuestTaker(situation, renderer_for, clock, tokens, partial(quest_file, paths))
    examiner = Examiner(situation, renderer_for, clock, Examinations(paths.examinations, files))
    battle = Battle(
        situation, taker, saver, Healer(situation, taker, saver, store, paths, files), examiner, ready=ready,
        resume_from=str(point.reading) if point.reading else None,
    )  # fmt: skip
    arguments = training_arguments(paths.current_model, device=device, seed=begin.seed)
    trainer = BattleTrainer(
        model=loaded.model, tokenizer=loaded.tokenizer, args=arguments, computing=fitted.computing, battle=battle,
        evaluation=validation.loss,
    )  # fmt: skip
    trainer.add_callback(MemoryWatch(fitted.estimate, device, before=memory_before))
    return battle, trainer


def _set_template(tokenizer: PreTrainedTokenizerBase, begin: Begin) -> None:
    """A checkpoint must carry the template that its weights were trained with."""
    own = tokenizer.chat_template
    if isinstance(own, dict):  # of several, the one that is used where none is named
        own = own.get("default")
    template = get_profile(begin.defaults.profile).template_over(own)
    if template not in (None, own):
        tokenizer.chat_template = template


def quieten_transformers() -> None:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # Its warnings are about runs that end with their data; they would alarm whoever reads trainer-output.log.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def _validation_set(paths: RealmPaths, begin: Begin, renderer: Renderer, link: DaemonLink) -> ValidationSet:
    rows = load_validation_rows(paths.validation, renderer=renderer, settings=begin.defaults, limit=begin.eval_rows)
    return ValidationSet(rows, begin.defaults, tell=partial(_tell, link))


def _token_cache(paths: RealmPaths, begin: Begin, renderer: Renderer, files: Files) -> TokenCache | None:
    """The cache of tokens; None when there is to be none. The keys are at hand before the first claim needs one."""
    if not begin.token_cache_bytes:
        return None
    code, rendering = made_with(), renderer.fingerprint
    logger.info("tokens are made with %.8s and %.8s", code, rendering, extra={"event": "tokens_made_with"})
    return TokenCache(paths.tokens, begin.token_cache_bytes, files=files)


def set_threads(begin: Begin) -> None:
    """As many as the settings say for each process; else all processes together have one per core."""
    cores = psutil.cpu_count(logical=False) or 1
    torch.set_num_threads(begin.threads or max(1, cores // begin.processes))


def _choose_device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Conflict("trainer.device is cuda, but torch finds no CUDA device.", hint="Set it to auto or cpu.")
    return wanted


def _loader(paths: RealmPaths, link: DaemonLink, begin: Begin, device: str) -> Load:
    """What loads the model or a checkpoint of it, with the adapters that the journal tells of.

    Raises `Conflict` where these are others than are wanted, or were trained beside other weights than lie here.
    """
    file = paths.current_model / JOURNAL_NAME
    genesis, lora = read_history(file).genesis, begin.lora
    if genesis is not None and not same_kind(genesis.lora, lora):
        raise Conflict(
            f"The model in {paths.current_model} was trained with {told(genesis.lora)}, not with {told(lora)}.",
            hint=f"Set it back, or begin a new model with `realm hero use {begin.hero} --fresh`.",
        )
    if genesis is not None and genesis.lora is not None:
        lora = genesis.lora
        link.send(Loading(what=f"comparing {begin.base_model} with the journal"))
        base = base_directory(begin.base_model, models_dir=paths.models, recipe=begin.recipe, seed=begin.seed)
        _check_base(base, genesis, file)
    return partial(_load, paths, link, begin, device, lora)


def _load(
    paths: RealmPaths, link: DaemonLink, begin: Begin, device: str, lora: Lora | None, folder: Path | None
) -> LoadedModel:
    link.send(Loading(what=f"loading {folder.name if folder else begin.base_model}"))
    return load_hero(paths, begin, device, folder, lora)


def load_hero(paths: RealmPaths, begin: Begin, device: str, folder: Path | None, lora: Lora | None) -> LoadedModel:
    """Load from this directory, or the base model."""
    return load_model_and_tokenizer(
        begin.base_model, models_dir=paths.models, recipe=begin.recipe, seed=begin.seed,
        device=device, dtype=torch.float32, checkpoint=folder, lora=lora,
    )  # fmt: skip


def _tell(link: DaemonLink, what: str, message: str) -> None:
    logger.error(message, extra={"event": what})
    link.send(Trouble(what=what, message=message))


def _open_journal(
    paths: RealmPaths,
    begin: Begin,
    loaded: LoadedModel,
    checkpoint: Path | None,
    position: PositionFile,
    files: Files,
) -> Journal:
    """The journal, with its first line written for a new hero.

    Raises `Conflict` when the model that training would start from is not the one that the journal tells of.
    """
    file = paths.current_model / JOURNAL_NAME
    journal = Journal(file, files=files)
    genesis = journal.history.genesis
    if genesis is None:
        # What an earlier history left behind says nothing about this one.
        position.furthest = (0, 0)
        journal.append(
            Genesis(
                seq=1, at=utc_now(), hero=begin.hero, base_model=begin.base_model,
                weights=weights_digest(loaded.source_dir), lora=begin.lora,
            )
        )  # fmt: skip
    elif checkpoint is None and genesis.lora is None:  # beside adapters, they are compared before anything is loaded
        _check_base(loaded.source_dir, genesis, file)
    return journal


def _check_base(folder: Path, genesis: Genesis, journal: Path) -> None:
    """Raise `Conflict` when a directory does not hold the weights that the journal began with."""
    if weights_digest(folder) == genesis.weights:
        return
    if genesis.checkpoint is not None:
        raise Conflict(
            f"{journal} began with the adopted {genesis.checkpoint}; neither that nor a later checkpoint is whole.",
            hint="Adopt it again with `realm ledger adopt`, or go back to one of another branch with `realm rewind`.",
        )
    raise Conflict(
        f"The weights in {folder} are not those that {journal} began with.",
        hint=f"Put the old ones back, or begin a new model with `realm hero use {genesis.hero} --fresh`.",
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


def _to_make_again(journal: Journal, cursor: Cursor) -> list[ClaimEntry]:
    """Claims of which the checkpoint does not hold all."""
    claims = journal.history.claims
    return [claim for ordinal, claim in sorted(claims.items()) if ordinal >= cursor.ordinal]


def _to_compute_again(journal: Journal, cursor: Cursor) -> list[ClaimEntry]:
    """Those of them that have a step left: one that was withdrawn before its first asks nothing of the machine."""
    steps_of = journal.history.steps_of
    return [
        claim
        for claim in _to_make_again(journal, cursor)
        if steps_of(claim.ordinal) > (cursor.quest_step if claim.ordinal == cursor.ordinal else 0)
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
    return Ready(
        step=0,
        checkpoint=checkpoint.name if checkpoint else None,
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        device=f"{device}, {told_threads()}{_of_each(begin.processes)}",
        replay=[claim.quest_id for claim in _to_make_again(journal, cursor)],
        covered=covered,
    )


def _load_renderer(source_dir: Path, clock: ClaimClock, profile: str) -> Renderer:
    return Renderer.load(source_dir, get_profile(profile), clock=clock)


def _of_each(processes: int) -> str:
    return f" in each of {processes} processes" if processes > 1 else ""
