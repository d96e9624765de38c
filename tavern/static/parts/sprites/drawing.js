// Pixel art as text: a row is a string, a letter a colour, a dot nothing. All functions leave what they are given alone.

export const COLOURS = {
  o: "#1b1524",
  e: "#2a1f36",
  w: "#ffffff",
  W: "#b9c6da",
  // steel, skin, cloth, gold, leather
  H: "#e4eaf5",
  h: "#9fadc6",
  j: "#6f7d98",
  s: "#f2c9a0",
  S: "#d19a6d",
  m: "#a8524a",
  c: "#c8423c",
  C: "#8a2530",
  t: "#3a63a8",
  T: "#5c8ad6",
  q: "#2a4880",
  g: "#e9b44c",
  b: "#6b4429",
  B: "#4a2e1c",
  // beasts
  G: "#5fb56b",
  L: "#9be08f",
  D: "#3b7d4e",
  K: "#b8b0bd",
  k: "#8b8291",
  d: "#5d5566",
  r: "#c8423c",
  R: "#e8705a",
  x: "#8a2530",
  p: "#8a63b5",
  P: "#5b3f82",
  v: "#b896dc",
  N: "#4f7487",
  n: "#2f4858",
  a: "#9fe3e8",
  A: "#4fb3d6",
  // fire, canvas
  y: "#ffd76a",
  f: "#ff9a3c",
  F: "#ffe08a",
  u: "#dcbf90",
  U: "#b08a58",
};

// Layers `[rows, x, y]` on an empty ground, the later ones above.
export function compose(width, height, layers) {
  const ground = Array.from({ length: height }, () => Array(width).fill("."));
  for (const [rows, left, top] of layers) {
    rows.forEach((row, y) => {
      [...row].forEach((letter, x) => {
        if (letter !== "." && ground[top + y]?.[left + x] !== undefined) ground[top + y][left + x] = letter;
      });
    });
  }
  return ground.map((row) => row.join(""));
}

// Breathing out: the row at `at` goes, and everything above it comes down.
export function squashed(rows, at) {
  return [".".repeat(rows[0].length), ...rows.slice(0, at), ...rows.slice(at + 1)];
}

export function mirrored(rows) {
  return rows.map((row) => [...row].reverse().join(""));
}

// Twice as wide and tall; where two neighbours agree, a corner is rounded (the rule known as EPX).
export function doubled(rows) {
  const at = (x, y) => rows[y]?.[x] ?? ".";
  return rows.flatMap((row, y) => {
    const [top, bottom] = ["", ""].map(() => []);
    [...row].forEach((letter, x) => {
      const [up, left, right, down] = [at(x, y - 1), at(x - 1, y), at(x + 1, y), at(x, y + 1)];
      const corner = (one, other, third, fourth) => (one === other && one !== third && other !== fourth ? one : letter);
      top.push(corner(left, up, down, right), corner(up, right, left, down));
      bottom.push(corner(down, left, right, up), corner(right, down, up, left));
    });
    return [top.join(""), bottom.join("")];
  });
}

// One path for each colour: [[colour, d], …].
export function pathsOf(rows, left = 0) {
  const paths = new Map();
  rows.forEach((row, y) => {
    for (const { 0: run, 1: letter, index } of row.matchAll(/([^.])\1*/g)) {
      paths.set(letter, `${paths.get(letter) ?? ""}M${left + index},${y}h${run.length}v1h-${run.length}z`);
    }
  });
  return [...paths].map(([letter, d]) => [COLOURS[letter], d]);
}
