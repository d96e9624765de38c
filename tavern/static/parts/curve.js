// Curves in numbers: what the server tells of a series, moved on by the steps that come live, ready to be drawn.
// A curve is {resolution, steps, values, lows, highs}: lists of one length, steps rising; no step is in it twice (F9).

const LIVE_AT_MOST = 20000;

// `points` is [[step, value], …], steps rising.
export function ofPoints(points) {
  const told = points.filter(([, value]) => Number.isFinite(value));
  const values = told.map(([, value]) => value);
  return { resolution: 1, steps: told.map(([step]) => step), values, lows: values, highs: values };
}

// `live` with what a frame of the trainer tells: its newest steps. Where these begin before the end of what is known,
// that was taken back, and is trained again.
export function followed(live, points) {
  const told = points.filter(([step, value]) => Number.isFinite(step) && Number.isFinite(value));
  if (told.length === 0) return live;
  const newest = told.at(-1)[0];
  const last = live.at(-1)?.[0] ?? -Infinity;
  if (newest === last) return live;
  const kept = newest < last ? live.filter(([step]) => step < told[0][0]) : live;
  const from = newest < last ? -Infinity : last;
  const all = [...kept, ...told.filter(([step]) => step > from)];
  return all.length > LIVE_AT_MOST ? all.slice(-LIVE_AT_MOST / 2) : all;
}

// `live` without what comes after `step`: it was taken back. Nothing where no step is known, as of another hero.
export function upTo(live, step) {
  if (!Number.isFinite(step)) return live.length === 0 ? live : [];
  return (live.at(-1)?.[0] ?? step) > step ? live.filter(([at]) => at <= step) : live;
}

// The curve without what comes after `step`.
export function cut(curve, step) {
  const count = curve.steps.findIndex((each) => each > step);
  if (count === -1) return curve;
  const parts = ["steps", "values", "lows", "highs"].map((key) => [key, curve[key].slice(0, count)]);
  return { ...curve, ...Object.fromEntries(parts) };
}

// The curve and behind it the live points beyond its end, as coarse as itself.
export function extended(curve, live) {
  const last = curve.steps.at(-1) ?? -Infinity;
  const beyond = live.filter(([step]) => step > last);
  if (beyond.length === 0) return curve;
  const more = new Map();
  for (const [step, value] of beyond) {
    const place = Math.floor(step / curve.resolution);
    const entry = more.get(place) ?? { sum: 0, count: 0, low: value, high: value };
    const { sum, count, low, high } = entry;
    more.set(place, { step, sum: sum + value, count: count + 1, low: Math.min(low, value), high: Math.max(high, value) });
  }
  const entries = [...more.values()];
  return {
    ...curve,
    steps: [...curve.steps, ...entries.map(({ step }) => step)],
    values: [...curve.values, ...entries.map(({ sum, count }) => sum / count)],
    lows: [...curve.lows, ...entries.map(({ low }) => low)],
    highs: [...curve.highs, ...entries.map(({ high }) => high)],
  };
}

// All curves over one list of steps, as uPlot wants them: [steps, lows, highs, values, lows, …].
export function aligned(curves) {
  const steps = [...new Set(curves.flatMap((curve) => curve.steps))].sort((first, second) => first - second);
  const places = new Map(steps.map((step, place) => [step, place]));
  const spread = (curve, key) => {
    const column = new Array(steps.length).fill(null);
    curve.steps.forEach((step, index) => {
      column[places.get(step)] = curve[key][index];
    });
    return column;
  };
  return [steps, ...curves.flatMap((curve) => ["lows", "highs", "values"].map((key) => spread(curve, key)))];
}

// The window after zooming by `factor` around `middle` (both ends kept inside the whole), or moving by a part of it.
export function zoomed([from, to], factor, middle, [first, last]) {
  const least = Math.min(8, last - first);
  const width = Math.min(last - first, Math.max(least, (to - from) * factor));
  const share = to > from ? (middle - from) / (to - from) : 0.5;
  return held(middle - share * width, width, first, last);
}

export function moved([from, to], part, [first, last]) {
  return held(from + part * (to - from), to - from, first, last);
}

function held(from, width, first, last) {
  const begin = Math.max(first, Math.min(from, last - width));
  return [Math.round(begin), Math.round(begin + width)];
}
