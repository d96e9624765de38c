"""Changes the quest board from outside the daemon: through the living realm's API, or directly when none lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.http.tokens import bearer, client_token
from core.instance import InstanceLock, living_realm
from core.paths import RealmPaths
from core.services import service_url

if TYPE_CHECKING:
    from arena.quest_board import QuestBoard

BOARD_ACTIONS = ("retry", "remove", "move")
TIMEOUT_SECONDS = 30.0


def board_action(paths: RealmPaths, action: str, target: str, priority: str | None = None) -> dict[str, Any]:
    """`retry`, `remove` or `move` (to `priority`) the quest with this id or file name; `{success, action, quest}`.

    Raises `NotFound`, `Conflict`, `InvalidInput`, and `Unavailable` when the realm lives but does not answer.
    """
    if action not in BOARD_ACTIONS:
        raise InvalidInput(f"There is no action {action!r}.", hint=f"Use one of {', '.join(BOARD_ACTIONS)}.")
    if living_realm(paths.lock) is None:
        return {"success": True, "action": action, "quest": _act_directly(paths, action, target, priority)}
    body = {"quest": target} if priority is None else {"quest": target, "priority": priority}
    return _ask_realm(paths, action, body)


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
                    removed.append(str(_ask_realm(paths, "remove", {"quest": quest_id})["quest"]))
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
    from arena.quest_board import QuestBoard

    lock = InstanceLock(paths.lock)
    lock.acquire({"what": f"realm {doing}", "base_dir": str(paths.base)}, wait_seconds=2.0)
    try:
        board = QuestBoard(paths)
        board.sweep(now=datetime.now(UTC))
        yield board
    except OSError as error:
        raise Unavailable(f"The disk refused: {error}.", hint="What was asked for is not done.") from error
    finally:
        lock.release()


def _ask_realm(paths: RealmPaths, action: str, body: dict[str, Any]) -> dict[str, Any]:
    url = service_url(paths, "vault")
    if url is None:
        raise Unavailable("The realm runs but does not serve its API.", hint="Try again in a moment.")
    return _ask(f"{url}/api/training/quests/{action}", body, bearer(client_token(paths.token_file)))


def _ask(url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    # Loaded on use: httpx takes a tenth of a second that no other verb should pay.
    import httpx

    try:
        # A proxy named in the environment is not the way to this machine, and none of the token's business.
        answer = httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        told = answer.json()
    except httpx.HTTPError as error:
        raise Unavailable(f"The realm at {url} does not answer: {error}.", hint="Try again in a moment.") from error
    except ValueError as error:
        raise Unavailable(f"{url} answered with status {answer.status_code} and no JSON.") from error
    if answer.is_success and isinstance(told, dict):
        return told
    raise _error_from(told if isinstance(told, dict) else {}, answer.status_code)


def _error_from(told: dict[str, Any], status: int) -> RealmError:
    kinds = {kind.code: kind for kind in (InvalidInput, NotFound, Conflict, Unavailable)}
    kind = kinds.get(str(told.get("error")), Unavailable if status >= 500 else RealmError)
    details = told.get("details")
    message = str(told.get("message") or f"The realm answered with status {status}.")
    return kind(message, **(details if isinstance(details, dict) else {}))
