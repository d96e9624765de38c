// The hero, looking right: parts, and the frames that are put together from them.

import { compose } from "./drawing.js";

const WIDTH = 32;
const HEIGHT = 28;

export const HEAD = [
  "...occo.....",
  "..ocrrcooo..",
  ".ocrroHHHHo.",
  ".ocroHHHHhho",
  "..ooHHHhhhho",
  "..oHHhhhhhho",
  "..ohhogggggo",
  "..ohossessso",
  "..ohossesseo",
  "..ojossssso.",
  "...oosmmoo..",
];

const EYES_CLOSED = ["sss", "eee"];

const TORSO = [
  "...oggggoo..",
  "..otTTTTtto.",
  ".otTTTTtttqo",
  ".otTTTttttqo",
  ".obbbggbbbbo",
  ".ottttttttqo",
  "..otttoottqo",
];

const ARM = ["oooo.", "ohhho", "ojjso", ".ooo."];
const ARM_UP = [".oso", ".oho", "ojho", "ojo.", ".o.."];

const LEGS = {
  stand: ["..obbo.obbo.", "..obbo.obbo.", "..oBBooBBBo.", "..oooo.oooo."],
  apart: ["..obboobbo..", ".obbo..obbo.", "oBBo....oBBo", "ooo.....oooo"],
  together: ["...obbbbo...", "...obbbbo...", "...oBBBBo...", "...ooooooo.."],
  sit: ["...oooooooo..", "..obbbbbbbbo.", "..obBBBBbbbBo", "..ooooooooooo"],
  tucked: ["..obboobbo..", "..oBBo.oBBo.", "..oooo.oooo."],
};

const CAPE = [
  ["...oc", "..occ", ".occc", ".occc", ".ocCc", "occCc", "occCc", "oCCCo", ".ooo."],
  ["...oc", ".oocc", "ooccc", "occcc", "occCc", "oocCc", ".occc", ".oCCo", "..oo."],
];

// The sword, point up, level, and behind the shoulder; the slash is the air that it cuts.
const SWORD_UP = [".o.", "oWo", "owW", "owW", "owW", "owW", "owW", "owW", "owW", "ggg", ".b.", ".b."];
const SWORD_PLANTED = [".b.", ".b.", "ggg", "oWo", "owW", "owW", "owW", "owW", "owW", "owW", "oWo"];
const SWORD_LEVEL = ["..g.........", ".ogoooooooo.", "bbgwwwwwwwWo", ".ogWWWWWWWo.", "..g........."];
const SWORD_BACK = [
  "oo.......",
  "oWo......",
  ".oWWo....",
  "..oWWo...",
  "...oWWo..",
  "....oWWog",
  ".....oggo",
  "......ggb",
];
const SLASH = [
  "ww.......",
  ".www.....",
  "...ww....",
  "....wwF..",
  ".....wwF.",
  "......wF.",
  "......wwF",
  ".......wF",
  ".......wF",
  ".......F.",
];

// Where each part stands in a frame: `x` and `y` move all of it, `bow` the upper half alone; sword and arm are [art, x, y].
function pose({ legs = "stand", cape = 0, x = 0, y = 0, bow = 0, lean = 0, sword, arm, isSlashing = false, isAsleep = false }) {
  const top = 6 + y + bow;
  const left = 5 + x;
  const place = (part) => (part ? [[part[0], left + part[1], top + part[2]]] : []);
  const isBehind = sword?.[0] === SWORD_BACK;
  const isSitting = legs === "sit";
  const lower = [[LEGS[legs], left + (isSitting ? 2 : 0), HEIGHT - LEGS[legs].length + Math.min(0, y)]];
  return compose(WIDTH, HEIGHT, [
    [CAPE[cape], left - 3 - lean, top + 11],
    ...(isBehind ? place(sword) : []),
    ...(isSitting ? [] : lower),
    [TORSO, left, top + 11],
    ...(isSitting ? lower : []),
    [HEAD, left + lean, top],
    ...(isAsleep ? [[EYES_CLOSED, left + lean + 6, top + 7]] : []),
    ...place(arm),
    ...(isBehind ? [] : place(sword)),
    ...(isSlashing ? [[SLASH, left + 15, top + 1]] : []),
  ]);
}

const guard = { sword: [SWORD_UP, 12, 3], arm: [ARM, 9, 12] };
const shouldered = { sword: [SWORD_UP, 11, 2], arm: [ARM, 8, 12] };
const raised = { sword: [SWORD_UP, 11, -3], arm: [ARM_UP, 10, 8] };
const level = { sword: [SWORD_LEVEL, 12, 11], arm: [ARM, 9, 12] };
const back = { sword: [SWORD_BACK, -4, 4], arm: [ARM, 7, 11] };

// Each is a list of frames.
export const HERO = {
  idle: [pose({ ...guard }), pose({ ...guard, bow: 1, cape: 1 })],
  walk: [
    pose({ ...shouldered, legs: "apart" }),
    pose({ ...shouldered, legs: "together", y: -1, cape: 1 }),
    pose({ ...shouldered, legs: "apart", cape: 1 }),
    pose({ ...shouldered, legs: "together", y: -1 }),
  ],
  strike: [
    pose({ ...back, x: -1, cape: 1, bow: 1 }),
    pose({ ...level, x: 3, legs: "apart", cape: 1, lean: 1, isSlashing: true }),
    pose({ ...level, x: 2, legs: "apart", lean: 1 }),
  ],
  hurt: [
    pose({ ...guard, x: -2, lean: -1, bow: 2, cape: 1, isAsleep: true }),
    pose({ ...guard, x: -1, bow: 2, isAsleep: true }),
  ],
  victorious: [pose({ ...raised }), pose({ ...raised, y: -3, legs: "tucked", cape: 1 })],
  resting: [pose({ legs: "sit", y: 3 }), pose({ legs: "sit", y: 3, bow: 1, isAsleep: true })],
  kneeling: [pose({ legs: "sit", y: 3, isAsleep: true, sword: [SWORD_PLANTED, 16, 8] })],
};
