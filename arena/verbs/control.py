"""The CLI verbs `pause`, `resume`, `stop`, `skip` and `save`: they write the control files, like a hand would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from core.paths import RealmPaths

Reason = Annotated[str | None, typer.Option(help="Why, for the status and the battle log.")]

HELP = {
    "pause": "Pause training at the next step boundary; the model stays warm.",
    "resume": "Let training go on after a pause or stop.",
    "stop": "Save and end the trainer; the sites stay up until `realm resume` or `realm down`.",
    "skip": "End the running quest here; what was learned stays.",
    "save": "Make a checkpoint at the next step boundary.",
}


def add_control_verbs(app: typer.Typer) -> None:
    """Add the five verbs to `app`."""
    for action, text in HELP.items():
        app.command(action, help=text)(_verb(action))


def _verb(action: str) -> Callable[[typer.Context, str | None], None]:
    def act(ctx: typer.Context, reason: Reason = None) -> None:
        from datetime import UTC, datetime

        from arena.command.battle_control import BattleControl
        from arena.command.granting import DOWN, NOTHING_TO_SKIP, effect_of
        from arena.quest_board import QuestBoard
        from core.errors import Conflict, Unavailable

        paths = ctx.obj.paths
        paths.create()
        if action == "skip" and QuestBoard(paths).processing() is None:
            raise Conflict(NOTHING_TO_SKIP)
        control = BattleControl(paths.control)
        before, state = control.read(), _state(paths)
        try:
            control.write(action, reason or "asked for on the command line", now=datetime.now(UTC))
        except OSError as error:
            raise Unavailable(f"{paths.control} cannot be written: {error.strerror}.") from error
        effect = effect_of(action, state, held=before.held)
        done = {"success": True, "action": action, "realm_up": state != DOWN, "state": state, "effect": effect}
        ctx.obj.tell(done, f"{action}: {effect}")

    return act


def _state(paths: RealmPaths) -> str:
    from datetime import UTC, datetime

    from arena.command.granting import DOWN
    from core.instance import living_realm
    from core.status_files import read_status

    if living_realm(paths.lock) is None:
        return DOWN
    return str(read_status(paths.control / "state.json", now=datetime.now(UTC))["status"])
