// The pictures of the game, and which enemy stands for which quest.

import { FLYING, SIZES } from "./sprites/foes.js";

export { portraitOf } from "./sprites/portrait.js";
export { Picture, Sprite } from "./sprites/sprite.js";

const BY_SIZE = { small: ["slime", "bat", "mushroom"], middle: ["golem", "skeleton", "wraith"], large: ["dragon", "beholder"] };
const MIDDLE_FROM = 1000;
const LARGE_FROM = 20000;
// Files that the guild writes are named so (DESIGN section 6).
const GENERATED = /^train_[A-Z0-9]+_level\d+_/;

// What stands for a quest of so many rows. The same quest is the same enemy wherever and whenever it is looked at;
// without an id, the first of its size.
export function foeOf(rows, id = "", file = "") {
  if (GENERATED.test(file)) return "construct";
  const size = rows >= LARGE_FROM ? "large" : rows >= MIDDLE_FROM ? "middle" : "small";
  return pick(BY_SIZE[size], id);
}

export function sizeOf(foe) {
  return SIZES[foe] ?? "small";
}

export function flies(foe) {
  return FLYING.has(foe);
}

// One of `choices`, always the same one for an id.
export function pick(choices, id) {
  let sum = 0;
  for (const letter of id) sum = (Math.imul(sum, 31) + letter.codePointAt(0)) >>> 0;
  return choices[sum % choices.length];
}
