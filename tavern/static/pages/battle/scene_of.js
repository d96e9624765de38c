// What is played on the stage in each state of the realm. Nothing is played that does not happen.

// `hero` is what he does, `place` where: "road" while he walks, "field" in battle, "camp" at rest. `props` stand beside him.
const SCENES = {
  connecting: { hero: "idle", place: "field", veil: "mist" },
  away: { hero: "idle", place: "field", veil: "mist" },
  unknown: { hero: "idle", place: "field", veil: "mist" },
  starting: { hero: "resting", place: "camp", isMoving: true },
  idle: { hero: "resting", place: "camp", isMoving: true },
  preparing: { hero: "walk", place: "road", isMoving: true },
  training: { hero: "idle", place: "field", isMoving: true },
  replaying: { hero: "idle", place: "field", isMoving: true, veil: "echo" },
  evaluating: { hero: "idle", place: "field", prop: "scroll", isMoving: true },
  saving: { hero: "idle", place: "field", prop: "crystal", isMoving: true },
  pausing: { hero: "idle", place: "field" },
  paused: { hero: "kneeling", place: "field", veil: "still" },
  stopping: { hero: "idle", place: "field", prop: "crystal" },
  stopped: { hero: null, place: "camp", prop: "tent", veil: "still" },
  crashed: { hero: "hurt", place: "field", isMoving: true, veil: "blow" },
};

export function sceneOf(state, isReplaying) {
  return { prop: null, veil: null, isMoving: false, ...SCENES[state === "training" && isReplaying ? "replaying" : state] };
}

const WOUND_LASTS_MS = 60_000;
const JOY_LASTS_MS = 15_000;

// The hero's face: what he has just lived through, by the realm's clock, so that everybody who looks sees the same.
export function moodOf(state, snapshot) {
  const age = (event) => (event ? Date.parse(snapshot.timestamp) - Date.parse(event.at) : Infinity);
  if (state === "crashed" || age(snapshot?.mood?.wound) < WOUND_LASTS_MS) return "wounded";
  if (age(snapshot?.mood?.rise) < JOY_LASTS_MS) return "victorious";
  const { hero, veil } = sceneOf(state, false);
  if (veil === "mist") return "idle";
  return ["idle", "walk"].includes(hero) ? "fighting" : "resting";
}
