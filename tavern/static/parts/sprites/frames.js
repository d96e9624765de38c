// The frames of every picture by its name, and by what it does where it does several things.

import { doubled, mirrored, squashed } from "./drawing.js";
import { FOES, SIZES } from "./foes.js";
import { HERO } from "./hero.js";
import * as scenery from "./scenery.js";

const FLAME_ROWS = 11;
const SQUASHED_AT = 8;

const made = new Map();

// Lists of rows, all of one size. The first is what is shown where nothing moves.
export function framesOf(name, action) {
  const key = `${name} ${action}`;
  if (!made.has(key)) made.set(key, make(name, action));
  return made.get(key);
}

function make(name, action) {
  if (name === "hero") return HERO[action] ?? HERO.idle;
  if (name === "campfire") return flames(scenery.CAMPFIRE);
  if (Object.hasOwn(FOES, name)) {
    const foe = FOES[name];
    const frames = [foe, squashed(foe, SQUASHED_AT)];
    return SIZES[name] === "small" ? frames : frames.map(doubled);
  }
  return [scenery[name.toUpperCase()]];
}

function flames(fire) {
  const [flame, logs] = [fire.slice(0, FLAME_ROWS), fire.slice(FLAME_ROWS)];
  return [fire, [...mirrored(flame), ...logs], [...squashed(flame, FLAME_ROWS - 4), ...logs]];
}
