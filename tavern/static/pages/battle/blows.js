// Blows: what was learned since the last one, a few times in ten seconds however many steps are made.

import { useEffect, useLayoutEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";

const BLOW_EVERY_MS = 750;
const SHOWN_AT_MOST = 3;

// `{blows, count}`: the newest blows, each `{key, rows, steps, isCritical, loss}`, and how many there were. A blow is
// critical when one of its steps had a lower loss than all before; `best` is the lowest that is known of the past.
export function useBlows(quest, training, best) {
  const last = useRef(null);
  const lowest = useRef(Infinity);
  const [struck, setStruck] = useState({ blows: [], count: 0 });
  const latest = useRef();
  latest.current = { quest, training, best };
  useLayoutEffect(() => {
    if (format.known(best)) lowest.current = Math.min(lowest.current, best);
  }, [best]);
  useEffect(() => {
    const now = stand(latest.current);
    const before = last.current;
    if (now.quest === null || before?.quest !== now.quest || !(now.rows >= before.rows)) {
      // Another quest, or one that is learned again: nothing was struck from what was shown before.
      last.current = now;
      return undefined;
    }
    const strike = () => {
      const after = stand(latest.current);
      // Drawn already and not looked at here yet: the quest may be over, another one, or learned again.
      if (after.quest !== before.quest || !(after.rows > before.rows)) return;
      const blow = blowBetween(before, after, latest.current, lowest);
      last.current = after;
      setStruck(({ blows, count }) => ({ blows: [...blows, { ...blow, key: count + 1 }].slice(-SHOWN_AT_MOST), count: count + 1 }));
    };
    if (now.rows === before.rows) return undefined;
    const timer = setTimeout(strike, Math.max(0, before.at + BLOW_EVERY_MS - now.at));
    return () => clearTimeout(timer);
  }, [quest?.quest_id, quest?.rows_done]);
  return struck;
}

function stand({ quest, training }) {
  return { quest: quest?.quest_id ?? null, rows: quest?.rows_done, step: training?.current_step, at: performance.now() };
}

function blowBetween(before, now, { quest, training, best }, lowest) {
  const points = (training?.train_loss_history ?? []).filter(([step, loss]) => step > before.step && format.known(loss));
  const loss = Math.min(...points.map(([, each]) => each));
  const isCritical = format.known(best) && !quest.replaying && loss < lowest.current;
  lowest.current = Math.min(lowest.current, loss);
  return { rows: now.rows - before.rows, steps: now.step - before.step, isCritical, loss };
}
