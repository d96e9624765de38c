"""Changes the quest board from outside the daemon: through the living realm's API, or directly when none lives."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.services import service_url

BOARD_ACTIONS = ("retry", "remove", "move")
TIMEOUT_SECONDS = 30.0


def board_action(paths: RealmPaths, action: str, target: str, priority: str | None = None) -> dict[str, Any]:
    """`retry`, `remove` or `move` (to `priority`) the quest with this id or file name; `{success, action, quest}`.

    Raises `NotFound`, `Conflict`, `InvalidInput`, and `Unavailable` when the realm lives but does not answer.
    """
    if action not in BOARD_ACTIONS:
        raise InvalidInput(f"There is no action {action!r}.", hint=f"Use one of {', '.join(BOARD_ACTIONS)}.")
    if InstanceLock.holder(paths.lock) is None:
        return {"success": True, "action": action, "quest": _act_directly(paths, action, target, priority)}
    url = service_url(paths, "vault")
    if url is None:
        raise Unavailable("The realm runs but does not serve its API.", hint="Try again in a moment.")
    body = {"quest": target} if priority is None else {"quest": target, "priority": priority}
    return _ask(f"{url}/api/training/quests/{action}", body)


def _act_directly(paths: RealmPaths, action: str, target: str, priority: str | None) -> str:
    # Loaded here: a verb that asks the API does not need the board.
    from arena.quest_board import QuestBoard

    lock = InstanceLock(paths.lock)
    lock.acquire({"base_dir": str(paths.base), "doing": f"quest {action}"}, wait_seconds=2.0)
    try:
        now = datetime.now(UTC)
        board = QuestBoard(paths)
        board.sweep(now=now)
        if action == "move":
            return board.move(target, str(priority)).name
        if action == "remove":
            return board.remove(target).name
        quest = board.retry(target, now=now)
        return quest.name if quest else target
    except OSError as error:
        raise Unavailable(f"The disk refused: {error}.", hint="Nothing was changed.") from error
    finally:
        lock.release()


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    # Loaded on use: httpx takes a tenth of a second that no other verb should pay.
    import httpx

    token = os.environ.get("REALM_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
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
