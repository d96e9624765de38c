"""Which checkpoint is due at a step boundary: a milestone, one after a crash, or what the daemon has asked for."""

from __future__ import annotations

from dataclasses import dataclass

from arena.trainer.situation import Situation

RETRY_SECONDS = 60.0
"""After a failed save that nobody asked for, try again this much later at the earliest."""

REPLAY_SHARE = 20
"""After an unclean death, a replay that takes this many times as long as a save is saved in its middle."""


@dataclass(frozen=True)
class Wish:
    """A checkpoint that is to be made."""

    reason: str
    milestone: bool = False
    at_once: bool = False
    """Training waits until it is durable; it needs no memory then."""
    exact: bool = False
    """It is to hold this very step, even where training has to wait for another save first."""
    urgent: bool = False
    """Without room on the disk, training waits."""
    last: bool = False
    """Nothing comes after it: it may use the reserve."""
    anew: bool = False
    """The last checkpoint is not whole any more: it is made also where nothing was learned since."""


class DueSaves:
    """What the trainer owes; an order of the daemon stays in `Orders` until it is carried out."""

    def __init__(self, situation: Situation, *, save_seconds: float) -> None:
        self._situation = situation
        self._save_seconds = save_seconds
        """How long a save takes; a guess before the first one."""
        self._recovering = situation.position.was_unclean or situation.replaying
        self._saved_last = float("-inf")
        self._no_retry_before = float("-inf")
        self._milestone_step = 0
        self._milestone_owed = False
        self._whole_owed = False

    def begin(self, now: float) -> None:
        """The state is loaded: the step that it stands at was saved before."""
        self._milestone_step = self._situation.arms.global_step
        self._saved_last = now

    @property
    def weights_alone_will_do(self) -> bool:
        """A milestone may leave out what takes room. Twice in a row, a crash could cost more than `save_steps`."""
        return not self._whole_owed

    @property
    def at_milestone(self) -> bool:
        """Whether any checkpoint of this step is a milestone: it may take the place of one, even under its name."""
        step = self._situation.arms.global_step
        return step > 0 and step % self._situation.begin.save_steps == 0

    def wish(self, now: float, saved_at: tuple[int, int]) -> Wish | None:
        """The checkpoint to make at this boundary; `saved_at` is the cursor of the last one."""
        situation, step = self._situation, self._situation.arms.global_step
        may_retry = now >= self._no_retry_before
        if self.at_milestone and step != self._milestone_step:
            self._milestone_step, self._milestone_owed = step, True
            return Wish("milestone", milestone=True, exact=True, urgent=True)
        if self._milestone_owed and may_retry:
            return Wish("milestone", milestone=True, urgent=True)
        if situation.here == saved_at and not situation.replaying:
            self._recovering = False
        if self._recovering and may_retry:
            if not situation.replaying:
                return Wish("the replay has caught up", at_once=True)
            # Kills that come faster than the replay takes would otherwise let nothing be learned any more.
            if now - self._saved_last >= REPLAY_SHARE * self._save_seconds:
                return Wish("in the middle of a long replay", at_once=True)
        if situation.orders.save is not None:
            order = situation.orders.save
            return Wish(order.reason, urgent=order.urgent, anew=order.anew)
        return Wish("a whole checkpoint after the weights alone") if self._whole_owed else None

    def last_wish(self, reason: str) -> Wish:
        return Wish(reason, milestone=self._milestone_owed, at_once=True, last=True)

    def note_begun(self, wish: Wish) -> None:
        """A snapshot was taken for `wish`; it holds whatever else was asked for at this boundary."""
        self._situation.orders.save = None
        if wish.milestone:
            self._milestone_owed = False

    def note_covered(self) -> None:
        """The last checkpoint holds all that is learned."""
        self._situation.orders.save = None
        self._whole_owed = False

    def note_failed(self, wish: Wish, now: float, seconds: float) -> None:
        """The save took `seconds` and came to nothing."""
        self._milestone_owed = self._milestone_owed or wish.milestone
        self._no_retry_before = now + max(RETRY_SECONDS, REPLAY_SHARE * seconds)

    def note_saved(self, now: float, seconds: float, *, resumable: bool, in_replay: bool) -> None:
        """A checkpoint is durable."""
        self._saved_last, self._save_seconds = now, seconds
        self._whole_owed = not resumable
        # A save in mid-replay is no reason to leave out the one that ends the danger of a livelock.
        self._recovering = self._recovering and (in_replay or not resumable)
