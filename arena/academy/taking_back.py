"""A rewind takes the curriculum back too: what was examined after the checkpoint did not happen."""

from __future__ import annotations

from arena.academy.register import EXAMINATIONS
from arena.examinations import Examinations
from arena.journal import JOURNAL_NAME, read_history
from core.files import Files
from core.paths import RealmPaths
from core.saga import Saga
from guild.records import GuildRecords


def take_back(paths: RealmPaths, saga: Saga, step: int, files: Files) -> int:
    """Go back to what was on record at this step; returns how many examinations are undone. May be done twice.

    Their quests are made again, or wait again where the rewind queues them: `arena.academy.register` sees to that with
    the next start.
    """
    answers = Examinations(paths.current_model / EXAMINATIONS, files)
    for examined in answers.all():
        if examined.step > step:
            answers.forget(examined.exam_id)
    # Tries that were cut off were of weights that are left behind.
    answers.forget_all_tries()
    genesis = read_history(paths.current_model / JOURNAL_NAME).genesis
    return GuildRecords(saga.db, genesis.at).take_back(step) if genesis is not None else 0
