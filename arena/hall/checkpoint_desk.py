"""What people ask of one checkpoint from its page: its lineage, reading it again, handing it out, going back to it.

What changes something is first told, and done once its very address is confirmed; what takes long is an errand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from arena.annals.going_back import GoingBack
from arena.annals.lineage import lineage_of
from arena.hall.errand_desk import Errand, ErrandDesk
from arena.hall.turn_words import export_words, rewind_words
from arena.telling.live_report import LiveReport
from arena.upkeep.scrubber import inode_of
from arena.upkeep.verifying import read_again
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict
from core.own_threads import OwnThreads
from core.paths import RealmPaths
from core.scribe import Scribe
from vault.checkpoint_facts import Standing, must_stand
from vault.giving_up import check_confirmed, size_text
from vault.treasury import Treasury

BASE = "base"
"""What `Rewinder` calls the beginning of the history."""

NoteRead = Callable[[str, int, list[str], datetime], Awaitable[None]]
"""Writes down that a checkpoint of the ledger was read again, and what was found (`Scrubber.note_read`)."""


class CheckpointDesk:
    """One per daemon; to be used in its event loop."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        ledger: CheckpointLedger,
        treasury: Treasury,
        scribe: Scribe,
        errands: ErrandDesk,
        going_back: GoingBack,
        note_read: NoteRead,
        report: LiveReport,
    ) -> None:
        """`report` tells how far the trainer is, which may be beyond the newest checkpoint."""
        self._paths = paths
        self._ledger = ledger
        self._treasury = treasury
        self._scribe = scribe
        self.errands = errands
        self._going_back = going_back
        self._note_read = note_read
        self._report = report
        self._exports = OwnThreads("exports", 1, refusal=Conflict)
        # Not the scribe's work: people wait for it, and beside a busy trainer the scribe gets little of the CPU.
        self._looks = OwnThreads("looks at checkpoints", 2, waiting=32)

    async def lineage(self, reference: str, scope: str, offset: int, limit: int) -> dict[str, Any]:
        """See `arena.hall.answers.Lineage`; raises `NotFound`."""
        return await self._looks.run(
            lineage_of, self._paths, self._ledger, reference, scope=scope, offset=offset, limit=limit
        )

    async def verify(self, reference: str) -> dict[str, Any]:
        """Begin to read all of it again; raises `NotFound`, and `Conflict` while another errand is under way."""
        standing = await self._standing(reference)

        async def work(errand: Errand) -> tuple[str, dict[str, Any]]:
            folder = standing.found.path
            with self._treasury.holding(folder, "It is being read again."):
                inode = await self._looks.run(inode_of, folder)
                found = await read_again(
                    folder, self._scribe.run, on_size=lambda size: setattr(errand, "total_bytes", size),
                    on_read=lambda read: self.errands.progress(errand, read),
                )  # fmt: skip
                if await self._looks.run(inode_of, folder) != inode:
                    raise Conflict(f"{standing.address} was moved or saved anew while it was read.", hint="Try again.")
            if standing.branch is None:
                await self._note_read(standing.found.name, inode, found["problems"], datetime.now(UTC))
            return _verified(standing, found), found

        return self.errands.begin("verify", standing.address, work)

    async def export(self, reference: str, confirm: str | None) -> dict[str, Any]:
        """Without `confirm` a dry run; else it begins. See `arena.hall.answers.ExportTold`."""
        standing = await self._standing(reference)
        check_confirmed(confirm, standing, "export")
        if standing.branch is not None:
            raise Conflict(
                f"{standing.address} lies on a branch, and only checkpoints of the ledger are exported.",
                hint="Go back to it first.",
            )
        target = self._paths.exports / standing.found.name
        self.errands.check_free()
        # Loaded on use: no start waits for it.
        from arena.hall.exporting import export_model, foretell_export

        told = await self._looks.run(foretell_export, self._paths, target, standing.found)
        answer = {
            "dry_run": confirm is None, "checkpoint": standing.found.name, "confirm": standing.address,
            "text": export_words(told), "errand": None, **told,
        }  # fmt: skip
        if confirm is None:
            return answer

        async def work(errand: Errand) -> tuple[str, dict[str, Any]]:
            with self._treasury.holding(standing.found.path, "It is being exported."):
                done = await self._exports.run(export_model, self._paths, target, reference=standing.found.name)
            return f"{done.folder} holds {done.checkpoint} ({size_text(done.size_bytes)}).", asdict(done)

        return {**answer, "errand": self.errands.begin("export", standing.address, work)}

    async def rewind(self, reference: str, confirm: str | None, *, requeue: bool) -> dict[str, Any]:
        """Without `confirm` a dry run; else it begins. See `arena.hall.answers.RewindTold`."""
        standing = None if reference == BASE else await self._standing(reference)
        address = standing.address if standing else BASE
        if standing is not None:
            check_confirmed(confirm, standing, "go back to")
        elif confirm not in (None, BASE):
            raise Conflict("What was confirmed is not the beginning.", hint=f"Send {BASE!r} as `confirm`.")
        self.errands.check_free()
        told = await self._looks.run(self._foretell, address, requeue)
        if told is None and confirm is not None:
            raise Conflict(f"The hero stands at {address}, and nothing was learned since: there is nothing to undo.")
        answer = {
            "dry_run": confirm is None, "checkpoint": address, "confirm": address, "requeue": requeue,
            "changes": told, "text": rewind_words(address, told, requeue=requeue), "errand": None,
        }  # fmt: skip
        if confirm is None:
            return answer

        async def work(errand: Errand) -> tuple[str, dict[str, Any]]:
            done = await self._going_back.go_back(address, requeue=requeue)
            if done is None:
                return f"The hero stands at {address} already, and nothing was learned since.", {}
            step = f"step {done.step} ({done.checkpoint or 'the weights that the history began with'})"
            return f"The hero went back from step {done.from_step} to {step}.", asdict(done)

        return {**answer, "errand": self.errands.begin("rewind", address, work)}

    def _foretell(self, address: str, requeue: bool) -> dict[str, Any] | None:
        """What going back comes to; the journal is only ever added to, so the trainer may work on. Reads all of the
        checkpoint."""
        # Loaded on use: no start waits for it.
        from arena.annals.rewinding import Here, Rewinder

        quest = self._report.quest
        here = Here(self._report.step or 0, quest.quest_id if quest else None, quest.rows_learned if quest else 0)
        told = Rewinder(self._paths).rewind(address, now=datetime.now(UTC), requeue=requeue, dry_run=True, here=here)
        return None if told is None else asdict(told)

    async def _standing(self, reference: str) -> Standing:
        return await self._looks.run(must_stand, self._paths, self._ledger, reference)


def _verified(standing: Standing, found: dict[str, Any]) -> str:
    if found["problems"]:
        return f"{standing.address} is not as it was saved: {'; '.join(found['problems'])}."
    return (
        f"{standing.address} is whole: {found['files']} files, {size_text(found['bytes'])}, each as it was saved "
        f"({found['seconds']:.1f} s)."
    )
