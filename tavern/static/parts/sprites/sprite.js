// A picture on the page, whose frames change while it has something to do.

import { html, useLayoutEffect, useMemo, useRef } from "../../preact.js";
import { pathsOf } from "./drawing.js";
import { framesOf } from "./frames.js";

const INTRO_MS = 95;

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

// `name` null draws nothing. `action` is what is done for as long as `isMoving`, a frame each `every` milliseconds;
// `intro` is done once before, whenever `turn` is another number than at the last drawing.
export function Sprite({ name, id, className = "sprite", action, every = 480, isMoving = false, intro = null, turn = 0 }) {
  const strip = useRef();
  const before = useRef(turn);
  const { width, height, paths, introduced, all } = useMemo(() => stripOf(name, action, intro), [name, action, intro]);
  // At once: the pictures of one moment are those of another for as long as it waits.
  useLayoutEffect(() => {
    const isNew = turn !== before.current;
    before.current = turn;
    return play(strip.current, { width, all, loopFrom: introduced, start: isNew ? 0 : introduced, every, isMoving });
  }, [name, action, intro, turn, every, isMoving]);
  const size = { "--columns": width, "--rows": height };
  return html`
    <svg id=${id} class=${className} viewBox="0 0 ${width} ${height}" style=${size} data-sprite=${name ?? ""} data-doing=${action} aria-hidden="true">
      <g ref=${strip}>${paths.map(drawn)}</g>
    </svg>
  `;
}

// Rows drawn as they are.
export function Picture({ rows, id, className }) {
  const paths = useMemo(() => pathsOf(rows), [rows]);
  return html`<svg id=${id} class=${className} viewBox="0 0 ${rows[0].length} ${rows.length}" aria-hidden="true">${paths.map(drawn)}</svg>`;
}

// Paths are remembered and elements are not: one that is drawn again keeps all that stood around it when it was first drawn.
function drawn([colour, d]) {
  return html`<path fill=${colour} d=${d} />`;
}

// All frames side by side; the one that is shown is moved into view.
function stripOf(name, action, intro) {
  if (name === null) return { width: 16, height: 16, paths: [], introduced: 0, all: 0 };
  const first = intro === null ? [] : framesOf(name, intro);
  const frames = [...first, ...framesOf(name, action)];
  const width = frames[0][0].length;
  const paths = frames.flatMap((rows, index) => pathsOf(rows, index * width));
  return { width, height: frames[0].length, paths, introduced: first.length, all: frames.length };
}

// Timers, not an animation: four changes a second, and none at all where nothing happens.
function play(strip, { width, all, loopFrom, start, every, isMoving }) {
  let timer = null;
  let frame = stillness.matches ? loopFrom : start;
  const show = () => strip.setAttribute("transform", `translate(${-frame * width},0)`);
  const next = () => {
    frame = frame + 1 < all ? frame + 1 : loopFrom;
    show();
    wait();
  };
  const wait = () => {
    const isIntro = frame < loopFrom;
    if (stillness.matches || (!isIntro && (!isMoving || all - loopFrom < 2))) return;
    timer = setTimeout(next, isIntro ? INTRO_MS : every);
  };
  show();
  wait();
  return () => clearTimeout(timer);
}
