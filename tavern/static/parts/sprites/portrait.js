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
  resting: [["wwww", "..w.", ".w..", "wwww"], 12, 1],
  victorious: [["..y..", ".yFy.", "yFwFy", ".yFy.", "..y.."], 12, 0],
  wounded: [["c", "c"], 9, 4],
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
    compose(17, 17, [
      [SHOULDERS, 1, 12],
      [HEAD, 2, 2],
      [FACES[mood], 7, 9],
      ...(mark ? [mark] : []),
    ]),
  );
}
