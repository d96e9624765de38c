// The pictures of the battle, sixteen by sixteen pixels each; a letter is a colour, a dot is nothing.

const SVG = "http://www.w3.org/2000/svg";

const COLOURS = {
  o: "#1b1524",
  H: "#dfe6f2",
  h: "#9fadc6",
  s: "#f2c9a0",
  e: "#2a1f36",
  c: "#b8383a",
  C: "#8a2530",
  t: "#3a63a8",
  T: "#5c8ad6",
  g: "#e9b44c",
  b: "#6b4429",
  w: "#ffffff",
  W: "#b9c6da",
  G: "#5fb56b",
  L: "#9be08f",
  D: "#3b7d4e",
  k: "#8b8291",
  K: "#b8b0bd",
  d: "#5d5566",
  r: "#c8423c",
  R: "#e8705a",
  x: "#8a2530",
  y: "#ffd76a",
  f: "#ff9a3c",
  F: "#ffe08a",
};

const SPRITES = {
  hero: [
    "....ooooo.......",
    "...oHHHHHo...o..",
    "..oHHHhhhho.oWo.",
    "..oHhhhhhho.oWwo",
    "..ohosssosho.Wwo",
    "..ohsesseso.oWwo",
    "...ossssso..oWwo",
    "..cogggggo..oWwo",
    ".cCottTTtto.oWwo",
    ".cCotTTTTtsooWwo",
    ".cCottTTttosgggg",
    ".cCogggggoo.obo.",
    ".cCottttto..obo.",
    "..cottotto...o..",
    "...obbobbo......",
    "...ooo.ooo......",
  ],
  slime: [
    "................",
    "................",
    "................",
    "......oooo......",
    "....ooGGGGoo....",
    "...oGGLLGGGGo...",
    "..oGLLLGGGGGGo..",
    "..oGLLGGGGGGGo..",
    ".oGGLGGGGGGGGDo.",
    ".oGGwooGGwooGDo.",
    ".oGGwooGGwooGDo.",
    "oGGGGGGGGGGGGDDo",
    "oGGGGGooooGGGDDo",
    "oGDGGGGGGGGGDDDo",
    ".oDDDDDDDDDDDDo.",
    "..oooooooooooo..",
  ],
  golem: [
    ".....oooooo.....",
    "....oKKKKkko....",
    "....oKrokrko....",
    "....oKkkkkdo....",
    "..oooodoododooo.",
    ".oKKkoKKKkkokkdo",
    ".oKkkoKKkkkokkdo",
    "oKkkooKkGkkookkd",
    "oKkkdoKGGkdokkkd",
    "oKkkdokkkkdokkkd",
    ".okkdokkkkdokkdo",
    ".oddoookkdoooddo",
    "..oo.oKkokko.oo.",
    "....oKkdokkdo...",
    "....oKkdokkdo...",
    "....ooooooooo...",
  ],
  dragon: [
    "..o..........o..",
    ".oyo........ooo.",
    ".orroo....oorxo.",
    "oRRRrro..orrrxo.",
    "owRoRrro.orrrxxo",
    "oRRRRrrxoorrrxxo",
    "oyfyRrrxorrrxxxo",
    ".oooRrrxrrrxxoo.",
    "...oRRrrrrrxo...",
    "..oyyRrrrrrxo.oo",
    "..oyyyRrrrrxooxo",
    "..oyyyRrrrrrxxo.",
    "...oyyRrrxrrxo..",
    "...oRrorrxorro..",
    "...oRroooooRro..",
    "..owowoo.owowo..",
  ],
  campfire: [
    "................",
    "................",
    ".......f........",
    "......ff..f.....",
    "......fFf.......",
    ".....ffFff......",
    "....ffFFFff.....",
    "....fFFyFff.....",
    "....fFywyFf.....",
    "....ffywyff.....",
    ".....ffyff......",
    "..obboffffobbo..",
    ".obbbbboobbbbbo.",
    "..ooobbbbbbooo..",
    "..obbbboobbbbo..",
    "...oooo..oooo...",
  ],
};

const DRAWN = new WeakMap();

// The enemy grows with the rows of the quest.
export function foeOf(rows) {
  if (rows >= 20000) return "dragon";
  return rows >= 1000 ? "golem" : "slime";
}

// `name` null draws nothing.
export function drawSprite(svg, name) {
  if (DRAWN.get(svg) === name) return;
  DRAWN.set(svg, name);
  svg.dataset.sprite = name ?? "";
  const lines = name === null ? [] : SPRITES[name];
  svg.replaceChildren(...lines.flatMap((line, row) => runsOf(line).map((run) => pixelRun(run, row))));
}

function runsOf(line) {
  return [...line.matchAll(/([^.])\1*/g)].map((match) => ({ start: match.index, length: match[0].length, colour: match[1] }));
}

function pixelRun({ start, length, colour }, row) {
  const rect = document.createElementNS(SVG, "rect");
  // A hair wider and taller than a pixel, so that no seam shows between two of one colour.
  const box = { x: start, y: row, width: length + 0.02, height: 1.02, fill: COLOURS[colour] };
  for (const [attribute, value] of Object.entries(box)) rect.setAttribute(attribute, value);
  return rect;
}
