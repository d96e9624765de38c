// The land that the hero walks through: a thousand steps lead once around it, so it moves when steps are made and stands
// still when none are.

import { html, useMemo, useRef } from "../../preact.js";
import * as format from "../../format.js";
import { Sprite } from "../../parts/sprites.js";

// Columns of the land until it begins anew, each as wide as a pixel of the pictures that stand on it.
const COLUMNS = 192;
// How often each layer goes round while the hero goes once: what is near moves faster.
const LAYERS = [
  { name: "far", rounds: 1, height: 40, base: 21, waves: [[2, 9, 0.4], [5, 4, 2], [11, 1.6, 1]] },
  { name: "near", rounds: 3, height: 30, base: 13, waves: [[3, 5, 2.2], [7, 2.5, 0.3]], pines: [8, 21, 27, 58, 64, 96, 101, 107, 139, 171] },
  { name: "ground", rounds: 8, height: 9, base: 7, waves: [[24, 0.7, 0], [41, 0.7, 1]], stones: [13, 47, 80, 122, 160] },
];
const STEPS_AROUND = 1000;
const STARS = [[6, 12], [14, 34], [23, 8], [31, 26], [42, 14], [49, 38], [58, 7], [66, 24], [77, 12], [84, 33], [93, 18]];

export function Landscape({ steps, trend }) {
  // While nobody knows the steps, the hero stays where he was: the land would jump to its beginning and back.
  const last = useRef(0);
  if (format.known(steps)) last.current = steps;
  const travelled = last.current / STEPS_AROUND;
  const now = new Date();
  return html`
    <div class="land" data-hour=${partOfDay(now)} aria-hidden="true">
      ${STARS.map(([x, y]) => html`<i class="star" style=${{ insetInlineStart: `${x}%`, insetBlockStart: `${y}%` }}></i>`)}
      <i class="light" style=${placeOfLight(now)}></i>
      ${["one", "two", "three"].map((which) => html`<div key=${which} class="cloud ${which}"><${Sprite} name="cloud" /></div>`)}
      ${LAYERS.map((layer) => html`<${Layer} key=${layer.name} ...${layer} travelled=${travelled * layer.rounds} />`)}
      ${trend === "rising" && html`<div class="rain"></div>`}
    </div>
  `;
}

// Where it begins anew, another element takes over: the old one would run all the way back.
function Layer({ name, height, base, waves, pines, stones, travelled }) {
  const round = Math.floor(travelled);
  const path = useMemo(() => pathOf({ height, base, waves, pines }), [name]);
  const pebbles = useMemo(() => (stones ?? []).flatMap((x) => [x, x + COLUMNS]).map((x) => `M${x},4h3v1h1v1h-5v-1h1z`).join(""), [name]);
  return html`
    <svg
      key=${`${name} ${round}`}
      class="layer ${name}"
      viewBox="0 0 ${2 * COLUMNS} ${height}"
      style=${{ "--rows": height, "--travelled": (travelled - round).toFixed(4) }}
    >
      <path class="earth" d=${path} />
      ${pebbles && html`<path class="pebbles" d=${pebbles} />`}
    </svg>
  `;
}

// A ridge in whole pixels, twice over.
function pathOf({ height, base, waves, pines = [] }) {
  const top = (x) => Math.round(height - base - waves.reduce((sum, [times, high, phase]) => sum + high * Math.sin((2 * Math.PI * times * x) / COLUMNS + phase), 0));
  let path = `M0,${height}`;
  for (let x = 0; x < 2 * COLUMNS; x += 1) path += `V${top(x % COLUMNS)}h1`;
  path += `V${height}z`;
  for (const x of pines.flatMap((at) => [at, at + COLUMNS])) path += pine(x, top(x % COLUMNS) + 1, 7 + (x % 4));
  return path;
}

function pine(x, foot, height) {
  let path = `M${x},${foot}v-${height}h1v${height}z`;
  for (let row = 1; row < height - 1; row += 1) {
    const half = Math.ceil((row % 4) / 2) + Math.floor(row / 4);
    path += `M${x - half},${foot - height + row}h${2 * half + 1}v1h-${2 * half + 1}z`;
  }
  return path;
}

function partOfDay(now) {
  const hour = now.getHours();
  if (hour >= 5 && hour < 8) return "dawn";
  return hour >= 17 && hour < 20 ? "dusk" : "other";
}

// Sun and moon both cross the sky in twelve hours.
function placeOfLight(now) {
  const way = ((now.getHours() + now.getMinutes() / 60 + 6) % 12) / 12;
  return { insetInlineStart: `${6 + 84 * way}%`, insetBlockStart: `${12 + 120 * (way - 0.5) ** 2}%` };
}
