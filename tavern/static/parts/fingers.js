// One finger moves a zoomed chart, two zoom it; up and down still scrolls the page (`touch-action` in chart.css).

import { moved, zoomed } from "./curve.js";

// `plot` is uPlot's; `latest.current` has `view`, `whole` ([first, last]) and `onZoom`. Returns how to end it.
export function follow(plot, latest) {
  const area = plot.over;
  const fingers = new Map();

  const place = (event) => event.clientX - area.getBoundingClientRect().left;
  const shown = () => [plot.scales.x.min, plot.scales.x.max];
  const whole = () => latest.current.whole ?? shown();

  const down = (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, place(event));
  };
  const move = (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, place(event));
    const now = [...fingers.values()];
    if (now.length === 1 && latest.current.view !== null) {
      const part = (before[0] - now[0]) / area.clientWidth;
      if (Math.abs(before[0] - now[0]) >= 1) latest.current.onZoom(moved(shown(), part, whole()));
    }
    if (now.length === 2) {
      const [old, wide] = [before, now].map(([first, second]) => Math.abs(first - second));
      if (old < 10 || wide < 10 || Math.abs(old - wide) < 1) return;
      latest.current.onZoom(zoomed(shown(), old / wide, plot.posToVal((now[0] + now[1]) / 2, "x"), whole()));
    }
  };
  const up = (event) => fingers.delete(event.pointerId);

  const ways = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up };
  for (const [name, listener] of Object.entries(ways)) area.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of Object.entries(ways)) area.removeEventListener(name, listener);
  };
}
