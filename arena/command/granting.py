"""What a wish does in the state that the realm is in, said truly: not everything takes effect at the next step."""

from __future__ import annotations

NOTHING_TO_SKIP = "No quest is running, so there is nothing to skip."

DOWN = "down"
"""The state of a realm without a process; all others are those of `control/state.json`."""

AT_THE_STEP = "takes effect at the next step boundary"

_SPOKEN_AS = {"loading": "starting", "stopping": "stopped", "crashed": "starting"}
"""States in which the same is true as in another one; a crashed trainer is started again."""

_EFFECTS = {
    "pause": {
        DOWN: "no realm runs; the next one starts paused",
        "starting": "the trainer starts paused",
        "idle": "nothing is being learned; the next quest waits for `realm resume`",
        "paused": "training is paused already",
        "stopped": "training is stopped already; `realm resume` ends that and the pause",
    },
    "resume": {
        DOWN: "no realm runs; the next one trains",
        "paused": "training goes on",
        "stopped": "the trainer starts again",
    },
    "stop": {
        DOWN: "no realm runs; the next one starts no trainer until `realm resume`",
        "starting": "the trainer ends as soon as it has started",
        "idle": "the trainer saves and ends",
        "paused": "the trainer saves and ends",
        "stopped": "the trainer has ended already, or is about to",
    },
    "skip": {
        DOWN: "no realm runs; the quest that was interrupted ends when the next one trains",
        "starting": "the quest ends as soon as the trainer has started",
        "idle": "the running quest ends",
        "paused": "the running quest ends",
        "stopped": "the quest ends once the trainer runs again",
    },
    "save": {
        DOWN: "no realm runs; the next one makes a checkpoint if there is anything to save",
        "starting": "a checkpoint is made once the trainer has started",
        "idle": "a checkpoint is made, if anything was learned since the last one",
        "paused": "a checkpoint is made, if anything was learned since the last one",
        "stopped": "the trainer does not run, and saved when it ended; it saves again once it runs",
    },
}


def effect_of(action: str, state: str, *, held: bool) -> str:
    """What `action` does in `state`; `held` when a pause or a stop is wished at this moment."""
    if action == "resume" and not held:
        return "nothing was paused or stopped"
    return _EFFECTS[action].get(_SPOKEN_AS.get(state, state), AT_THE_STEP)
