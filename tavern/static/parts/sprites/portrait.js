// The hero's face, by mood.

import { compose, doubled } from "./drawing.js";
import { HEAD } from "./hero.js";

const SHOULDERS = ["..oogggggoo...", ".occtTTTTttco.", "occctTTTttttco", "occctTTtttttco", "occttTTtttttco"];

// Eyes, cheeks and mouth, from the seventh row of the head and its fifth column.
const FACES = {
  idle: ["sesseso", "sesseso", "ssssso.", "ssmmo.."],
  fighting: ["eesseeo", "sesseso", "ssssso.", "swwwo.."],
  resting: ["sssssso", "eeseeso", "ssssso.", "ssmso.."],
  wounded: ["cessseo", "ccsesso", "csseso.", "sooso.."],
  victorious: ["sesseso", "esseseo", "swwwso.", "smmso.."],
};
const MARKS = {
  resting: [["wwww", "..w.", ".w..", "wwww"], 10, 0],
  victorious: [["..y..", ".yFy.", "yFwFy", ".yFy.", "..y.."], 9, 0],
  wounded: [["c", "c"], 8, 3],
};

export const MOODS = Object.keys(FACES);

const drawn = new Map();

// Rows of a picture of the face; `mood` is one of MOODS.
export function portraitOf(mood) {
  if (!drawn.has(mood)) drawn.set(mood, draw(mood));
  return drawn.get(mood);
}

function draw(mood) {
  const mark = MARKS[mood];
  return doubled(
    compose(15, 16, [
      [SHOULDERS, 0, 11],
      [HEAD, 1, 1],
      [FACES[mood], 6, 8],
      ...(mark ? [mark] : []),
    ]),
  );
}
