"""The CLI verbs `pause`, `resume`, `stop`, `skip` and `save`: they write the control files, like a hand would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

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

        from arena.battle_control import BattleControl
        from core.instance import InstanceLock

        paths = ctx.obj.paths
        paths.create()
        alive = InstanceLock.holder(paths.lock) is not None
        BattleControl(paths.control).write(action, reason or "asked for on the command line", now=datetime.now(UTC))
        when = "at the next step boundary" if alive else "when the realm is up again"
        ctx.obj.tell({"success": True, "action": action, "realm_up": alive}, f"{action}: takes effect {when}")

    return act
