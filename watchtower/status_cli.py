"""The CLI verb `status`: the realm at a glance, from the status files and who holds the lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer


def status(ctx: typer.Context) -> None:
    """Show what the realm does; exit code 0 also when it is down."""
    from core.errors import NotFound
    from core.instance import InstanceLock, verb_at_work
    from core.services import read_services
    from core.status_files import read_status

    paths = ctx.obj.paths
    if not paths.base.is_dir():
        raise NotFound(
            f"There is no directory {paths.base}.", hint="Name that of your realm with --base-dir, or start one there."
        )
    now = datetime.now(UTC)
    training = read_status(paths.training_status, now=now)
    holder = InstanceLock.holder(paths.lock)
    verb = verb_at_work(holder) if holder else None
    up = holder is not None and verb is None
    body = {
        "realm": "up" if up else "down",
        "base_dir": str(paths.base),
        "pid": holder.get("pid") if holder else None,
        "at_work": verb,
        "services": {name: entry["url"] for name, entry in read_services(paths).items()} if up else {},
        "training": training,
        "queue": _counts(paths),
        "inbox": _inbox(paths, now),
        "checkpoint": _latest(paths),
    }
    ctx.obj.tell(body, _for_people(body, training))


def _counts(paths: Any) -> dict[str, Any]:
    from arena.quest_board import QuestBoard

    return QuestBoard(paths).counts()


def _inbox(paths: Any, now: datetime) -> dict[str, Any]:
    """What the daemon last said of it, which knows why it holds files back; else what one look tells."""
    from arena.doorstep.inbox_report import look_into_inbox
    from core.status_files import read_status

    told = read_status(paths.inbox_status, now=now)
    known = ("waiting", "left_lying", "named", "blocked")
    return look_into_inbox(paths.inbox) if told["stale"] else {name: told[name] for name in known}


def _latest(paths: Any) -> dict[str, Any] | None:
    from core.checkpoint_ledger import CheckpointLedger

    latest = CheckpointLedger.of(paths).get_latest()
    return latest.to_json() if latest else None


def _training_line(training: dict[str, Any], *, up: bool) -> str:
    if not up and training.get("last_status") == "stopped":
        # Nobody vouches for a file whose writer is gone, but a realm that ended in order has said its last word.
        return "stopped"
    reason = f": {training['reason']}" if training.get("reason") else ""
    return f"{training.get('status', 'unknown')}{reason}"


def _inbox_lines(inbox: dict[str, Any]) -> list[str]:
    left, named = inbox["left_lying"], inbox["named"]
    lines = [f"  inbox       {inbox['waiting']} waiting" + (f", {left} left lying:" if left else "")]
    lines += [f"{'':<14}{found['file']}: {found['reason']}" for found in named]
    if left and left > len(named):
        lines.append(f"{'':<14}and {left - len(named)} more")
    return lines + ([f"{'':<14}{inbox['blocked']}"] if inbox["blocked"] else [])


def _for_people(body: dict[str, Any], training: dict[str, Any]) -> str:
    from core.status_files import number

    up = body["realm"] == "up"
    lines = [f"The realm in {body['base_dir']} is {body['realm']}" + (f" (pid {body['pid']})" if up else "")]
    if body["at_work"]:
        lines.append(f"  at work     {body['at_work']} (pid {body['pid']})")
    lines.append(f"  training    {_training_line(training, up=up)}")
    if training.get("current_step") is not None:
        loss = number(training.get("loss"))
        lines.append(f"  step        {training['current_step']}" + (f", loss {loss:.4f}" if loss is not None else ""))
    if training.get("current_file"):
        percent = number(training.get("progress_percent"))
        done = f" ({percent:.0f} % of its rows)" if percent is not None else ""
        lines.append(f"  quest       {training['current_file']}{done}")
    lines += _inbox_lines(body["inbox"])
    queue = body["queue"]
    waiting = ", ".join(f"{queue['queued'][name]} {name}" for name in ("high", "normal", "low"))
    lines.append(f"  waiting     {waiting}")
    lines.append(f"  taken up    {queue['processing']}, {queue['awaiting_seal']} more await their seal")
    lines.append(f"  completed   {queue['completed']}, failed {queue['failed']}, skipped {queue['skipped']}")
    checkpoint = body["checkpoint"]
    lines.append(f"  checkpoint  {checkpoint['canonical_name'] if checkpoint else 'none yet'}")
    lines += [f"  {name:<11} {url}" for name, url in body["services"].items()]
    return "\n".join(lines)
