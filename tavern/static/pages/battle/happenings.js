// What has just happened and is worth a scene: told once when it happens, and never again when the page is loaded anew.

import { useLayoutEffect, useRef, useState } from "../../preact.js";
import { listen, useRealm } from "../../link/realm.js";

// The later in this list, the less it is interrupted by others.
const KINDS = ["checkpoint", "gold", "wound", "learned", "mastered", "level", "fall"];
const KIND_OF_EVENT = {
  checkpoint_saved: "checkpoint",
  quest_sealed: "gold",
  spike: "wound",
  not_finite: "wound",
  quest_learned: "learned",
  level_mastered: "mastered",
  hero_level_up: "level",
  trainer_died: "fall",
};
const LASTS_MS = { checkpoint: 1600, gold: 2200, wound: 2600, learned: 3200, mastered: 4500, level: 4500, fall: 3000 };
// Whoever comes back after an hour is not shown the scenes of that hour.
const FRESH_MS = 20_000;

// `{kind, event, count, key}` or null. More of the same kind while it is shown are counted (F17).
export function useHappening(onHappening) {
  const [shown, setShown] = useState(null);
  const state = useRef({ shown: null, timer: null, keys: 0, told: onHappening });
  const timestamp = useRealm(({ snapshot }) => snapshot?.timestamp ?? null);
  const newest = useRef(timestamp);
  newest.current = timestamp;
  state.current.told = onHappening;
  useLayoutEffect(() => {
    const now = state.current;
    const show = (next) => {
      now.shown = next;
      setShown(next);
      clearTimeout(now.timer);
      if (next !== null) now.timer = setTimeout(() => show(null), LASTS_MS[next.kind]);
    };
    const stop = listen((event) => {
      const kind = Object.hasOwn(KIND_OF_EVENT, event.kind) ? KIND_OF_EVENT[event.kind] : null;
      if (kind === null || Date.parse(newest.current) - Date.parse(event.at) > FRESH_MS) return;
      now.told(kind, event);
      if (now.shown?.kind === kind) {
        show({ ...now.shown, event, count: now.shown.count + 1 });
      } else if (now.shown === null || KINDS.indexOf(kind) >= KINDS.indexOf(now.shown.kind)) {
        now.keys += 1;
        show({ kind, event, count: 1, key: now.keys });
      }
    });
    return () => {
      stop();
      clearTimeout(now.timer);
    };
  }, []);
  return shown;
}
