"""Why nothing is happening and what to do about it: causes in the order of their weight, each with a remedy.

Nothing is kept here. Every cause is what its owner says of itself at this moment: control files, disk, trainer, board,
inbox, gate, guild, and whatever work a `Blockade` holds up. A cause that is over is not in the list any more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from arena.blockade import Blockade
from arena.command.battle_control import Wish, Wishes
from arena.telling.live_report import LiveReport

MOVING = {"training", "replaying"}
AT_WORK = {
    "starting": "The trainer starts",
    "preparing": "A quest is made ready",
    "evaluating": "What the hero knows is measured",
    "saving": "A checkpoint is saved",
    "pausing": "Training comes to a halt after this step",
    "stopping": "The trainer saves and ends",
    "replaying": "What no checkpoint covered is learned again",
}
"""States that pass by themselves."""


@dataclass(frozen=True)
class Remedy:
    """What a person can do."""

    action: str
    """What the page offers for it: `resume`, `drop_file`, `open_quests`, `open_settings` or `command`."""
    command: str | None = None
    """What to type instead, or what alone helps."""


@dataclass(frozen=True)
class Cause:
    """One reason why less happens than could."""

    kind: str
    weight: str
    """`halt`: nothing is learned until it is over. `hold`: a part of the realm stands still. `busy`: it passes by
    itself. `note`: worth a look."""
    message: str
    since: str | None = None
    until: str | None = None
    """When it ends by itself, where that is known."""
    remedies: list[Remedy] = field(default_factory=list)


@dataclass(frozen=True)
class TrainerFacts:
    """What is known of the child process."""

    hold: str | None
    """Why it stands still, where it cannot say so itself."""
    next_start_at: datetime | None
    """While the supervisor waits before it starts another one."""


@dataclass(frozen=True)
class QuestFacts:
    """What is known of quests."""

    waiting: int
    running: str | None
    """Name of the one in `processing/`."""
    strikes: int
    failed: int
    measuring: str | None
    """One whose proof a claim waits for."""
    missing_tokenizer: str | None
    """Where the one that quests wait for should lie."""


@dataclass(frozen=True)
class GuildFacts:
    """What is known of quests that make themselves."""

    enabled: bool
    next_at: datetime | None
    """When the cooldown after the last one is over; None where it is, or was never."""


def momentum(
    *,
    report: LiveReport,
    wishes: Wishes,
    disk: tuple[str, datetime | None] | None,
    trainer: TrainerFacts,
    quests: QuestFacts,
    guild: GuildFacts,
    inbox: Mapping[str, Any],
    blockades: Iterable[Blockade],
) -> dict[str, Any]:
    """The body of `GET /api/momentum`; `disk` is why the disk lets nothing go on, and since when."""
    moving = report.state in MOVING
    causes = [
        *_wished(report, wishes),
        *_of_disk(disk),
        *([] if wishes.held or disk else _at_rest_by_itself(report)),
        *_of_trainer(report, trainer, quests),
        *_held_up(blockades),
        *_at_work(report),
        *([] if moving else _no_quest(report, quests, guild)),
        *_in_inbox(inbox),
        *_failed(quests),
    ]
    order = {"halt": 0, "hold": 1, "busy": 2, "note": 3}
    causes.sort(key=lambda cause: order[cause.weight])  # stable: in one weight the order above stays
    return {"moving": moving, "state": report.state, "causes": [asdict(cause) for cause in causes]}


def _wished(report: LiveReport, wishes: Wishes) -> list[Cause]:
    resume = [Remedy("resume", "realm resume")]
    if wishes.stop is not None:
        return [_by_wish("stopped", "Training is stopped", wishes.stop, resume)]
    if wishes.pause is not None:
        freed = "; the accelerator is free for others meanwhile" if wishes.pause.cool else ""
        still = "Training pauses after this step" if report.state in MOVING else "Training is paused"
        return [_by_wish("paused", still, wishes.pause, resume, freed)]
    return []


def _by_wish(kind: str, what: str, wish: Wish, remedies: list[Remedy], behind: str = "") -> Cause:
    return Cause(kind, "halt", f"{what}: {wish.reason}{behind}", wish.at.isoformat(), None, remedies)


def _of_disk(disk: tuple[str, datetime | None] | None) -> list[Cause]:
    if disk is None:
        return []
    reason, since = disk
    message = f"Training waits for the disk: {reason.removeprefix('disk: ')}"
    return [Cause("disk", "halt", message, _iso(since), None, [Remedy("command", "realm doctor")])]


def _at_rest_by_itself(report: LiveReport) -> list[Cause]:
    """The trainer waits, or was cut off, and nobody has wished for it."""
    words = {"paused": "Training waits", "stopped": "The trainer has ended"}.get(report.state)
    if words is None:
        return []
    why = f": {report.reason}" if report.reason else ""
    return [Cause(report.state, "halt", f"{words}{why}", report.since.isoformat())]


def _of_trainer(report: LiveReport, trainer: TrainerFacts, quests: QuestFacts) -> list[Cause]:
    found = []
    if report.state == "crashed":
        cause = (report.reason or "the cause is not known").rstrip(".")
        begun = "another one is started" + ("" if trainer.next_start_at is None else " after a pause")
        message = f"The trainer died: {cause}; {begun}"
        until, since = _iso(trainer.next_start_at), report.since.isoformat()
        found.append(Cause("trainer_died", "halt", message, since, until, [Remedy("command", "realm doctor")]))
    if quests.strikes and quests.running is not None:
        count = f"{quests.strikes} strike{'s' * (quests.strikes > 1)}"
        message = f"{quests.running} has {count} against it: the trainer died on it; the third one withdraws it"
        remedies = [Remedy("open_quests", f"realm quest show {shlex.quote(quests.running)}")]
        found.append(Cause("strikes", "note", message, None, None, remedies))
    if trainer.hold is not None:
        found.append(Cause("trainer_held", "halt", trainer.hold, None, None, [Remedy("command", "realm doctor")]))
    return found


def _held_up(blockades: Iterable[Blockade]) -> list[Cause]:
    doctor = [Remedy("command", "realm doctor")]
    return [
        Cause(f"{blockade.kind}_blocked", "hold", blockade.message, _iso(blockade.since), None, doctor)
        for blockade in blockades
        if blockade.message is not None
    ]


def _at_work(report: LiveReport) -> list[Cause]:
    words = AT_WORK.get(report.state)
    if words is None:
        return []
    why = f": {report.reason}" if report.reason else ""
    return [Cause(report.state, "busy", f"{words}{why}", report.since.isoformat())]


def _no_quest(report: LiveReport, quests: QuestFacts, guild: GuildFacts) -> list[Cause]:
    if report.state != "idle" or quests.running is not None:
        return []
    since = report.since.isoformat()
    if quests.waiting:
        if quests.missing_tokenizer is not None:
            message = f"Quests wait for their model: there is no tokenizer in {quests.missing_tokenizer} yet"
            return [Cause("no_model", "halt", message, since, None, [Remedy("command", "realm hero list")])]
        if quests.measuring is not None:
            message = f"{quests.measuring} is measured before it is trained"
            return [Cause("measuring", "busy", message, since)]
        return []
    if guild.enabled:
        message = "The quest board is empty; the guild writes the next quest by itself"
        return [Cause("board_empty", "busy", message, since, _iso(guild.next_at))]
    message = "The quest board is empty: drop a JSONL file, or let the guild write quests (`auto_generate`)"
    drop, settings = Remedy("drop_file"), Remedy("open_settings", "realm config set auto_generate.enabled true")
    return [Cause("board_empty", "halt", message, since, None, [drop, settings])]


def _in_inbox(inbox: Mapping[str, Any]) -> list[Cause]:
    lying = inbox["left_lying"]
    if not lying:
        return []
    first = inbox["named"][0] if inbox["named"] else None
    named = f"; {first['file']}: {first['reason']}" if first else ""
    message = f"{lying} file{'s' * (lying > 1)} in the inbox {'are' if lying > 1 else 'is'} not taken{named}"
    return [Cause("left_lying", "note", message, None, None, [Remedy("open_quests")])]


def _failed(quests: QuestFacts) -> list[Cause]:
    if not quests.failed:
        return []
    message = f"{quests.failed} quest{'s' * (quests.failed > 1)} failed; each says why, and can be tried again"
    remedies = [Remedy("open_quests", "realm quest list --lane failed")]
    return [Cause("failed_quests", "note", message, None, None, remedies)]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
