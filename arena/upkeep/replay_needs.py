"""Which quests training would learn again, should HEAD be torn: their data must be kept, whatever the budgets say."""

from __future__ import annotations

from arena.annals.ancestry import can_be_resumed, is_ancestor
from arena.cursor import Cursor, read_cursor
from arena.journal import JOURNAL_NAME, History, read_history
from core.checkpoint_records import extract_step
from core.errors import InvalidInput
from core.paths import RealmPaths
from vault.checkpoints import CheckpointDir, CheckpointStore


def needed_for_replay(paths: RealmPaths) -> frozenset[str]:
    """Ids of the quests of the present history that end behind the checkpoint that stands in for HEAD.

    All of them where there is none, as before the second checkpoint. Raises `Conflict` for a damaged journal.
    """
    history = read_history(paths.current_model / JOURNAL_NAME)
    store = CheckpointStore(paths.current_model)
    head = store.head()
    # As in `vault.retention`: what is saved anew at HEAD's own step does not stand in for it.
    earlier = [each for each in store.list() if head is None or each.step < extract_step(head)]
    places = (_cursor_in(each, history) for each in reversed(earlier))
    begin = next((place for place in places if place is not None), Cursor())
    return frozenset(claim.quest_id for claim in history.left_from(begin.ordinal, begin.quest_step))


def _cursor_in(checkpoint: CheckpointDir, history: History) -> Cursor | None:
    """Where training goes on from it; None where it does not."""
    try:
        if can_be_resumed(checkpoint.path, history) and is_ancestor(checkpoint.path, history):
            return read_cursor(checkpoint.path)
    except (InvalidInput, OSError, ValueError):  # torn
        pass
    return None
