// What each state that the daemon reports allows and looks like. A state that is not listed counts as unknown.

const STATES = {
  connecting: { mood: "unknown", actions: [] },
  away: { mood: "unknown", actions: [] },
  unknown: { mood: "unknown", actions: [] },
  starting: { mood: "resting", actions: ["pause", "stop"] },
  idle: { mood: "resting", actions: ["pause", "stop"] },
  preparing: { mood: "fighting", actions: ["pause", "stop", "skip"] },
  training: { mood: "fighting", actions: ["pause", "save", "skip", "stop"] },
  replaying: { mood: "fighting", actions: ["pause", "save", "skip", "stop"] },
  evaluating: { mood: "waiting", actions: ["pause", "save", "skip", "stop"] },
  saving: { mood: "waiting", actions: ["pause", "skip", "stop"] },
  pausing: { mood: "waiting", actions: ["resume", "stop"] },
  paused: { mood: "paused", actions: ["resume", "save", "skip", "stop"] },
  stopping: { mood: "waiting", actions: ["resume"] },
  stopped: { mood: "paused", actions: ["resume"] },
  crashed: { mood: "waiting", actions: ["pause", "stop"] },
};

const NEEDS_QUEST = ["save", "skip"];

export function stateOf(name) {
  return Object.hasOwn(STATES, name) ? name : "unknown";
}

export function moodOf(name) {
  return STATES[stateOf(name)].mood;
}

export function allows(name, action, hasQuest) {
  return STATES[stateOf(name)].actions.includes(action) && (hasQuest || !NEEDS_QUEST.includes(action));
}
