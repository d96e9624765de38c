"""Changes the quest board from outside the daemon: through the living realm's API, or directly when none lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.instance import InstanceLock, living_realm
from core.paths import RealmPaths
from core.shell.api_client import ask_realm

if TYPE_CHECKING:
    from arena.quest_board import QuestBoard

BOARD_ACTIONS = ("retry", "remove", "move")
BOARD_API = "/api/training/quests"


def board_action(paths: RealmPaths, action: str, target: str, priority: str | None = None) -> dict[str, Any]:
    """`retry`, `remove` or `move` (to `priority`) the quest with this id or file name; `{success, action, quest}`.

    Raises `NotFound`, `Conflict`, `InvalidInput`, and `Unavailable` when the realm lives but does not answer.
    """
    if action not in BOARD_ACTIONS:
        raise InvalidInput(f"There is no action {action!r}.", hint=f"Use one of {', '.join(BOARD_ACTIONS)}.")
    if living_realm(paths.lock) is None:
        return {"success": True, "action": action, "quest": _act_directly(paths, action, target, priority)}
    body = {"quest": target} if priority is None else {"quest": target, "priority": priority}
    return ask_realm(paths, f"{BOARD_API}/{action}", body)


def remove_all(paths: RealmPaths, quest_ids: Iterable[str]) -> list[str]:
    """Remove waiting quests; returns the names of those that were still there. Raises as `board_action` does."""
    removed = []
    with ExitStack() as stack:
        board = stack.enter_context(_own_board(paths, "quest remove")) if living_realm(paths.lock) is None else None
        for quest_id in quest_ids:
            with suppress(NotFound, Conflict):  # claimed or gone in the meantime
                if board is not None:
                    removed.append(board.remove(quest_id).name)
                else:
                    removed.append(str(ask_realm(paths, f"{BOARD_API}/remove", {"quest": quest_id})["quest"]))
    return removed


def _act_directly(paths: RealmPaths, action: str, target: str, priority: str | None) -> str:
    with _own_board(paths, f"quest {action}") as board:
        if action == "move":
            return board.move(target, str(priority)).name
        if action == "remove":
            return board.remove(target).name
        quest = board.retry(target, now=datetime.now(UTC))
        return quest.name if quest else target


@contextmanager
def _own_board(paths: RealmPaths, doing: str) -> Iterator[QuestBoard]:
    """The board of a realm that does not run, held until the end."""
    # Loaded here: a verb that asks the API does not need the board.
    from arena.journal import JOURNAL_NAME, read_history
    from arena.quest_board import QuestBoard

    lock = InstanceLock(paths.lock)
    lock.acquire({"what": f"realm {doing}", "base_dir": str(paths.base)}, wait_seconds=2.0)
    try:
        board = QuestBoard(paths)
        board.sweep(now=datetime.now(UTC))
        # What the model holds a part of is not to be removed, wherever a kill has left it.
        board.reclaim(claim.quest_id for claim in read_history(paths.current_model / JOURNAL_NAME).claims.values())
        yield board
    except OSError as error:
        raise Unavailable(f"The disk refused: {error}.", hint="What was asked for is not done.") from error
    finally:
        lock.release()
