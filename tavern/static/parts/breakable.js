// A name, or a sentence with names in it, that may go on in the next line behind the joints of its long words.

import { html } from "../preact.js";

// Up to an underscore or a hyphen within it. Without looking behind: not all browsers can.
const PART = /[^]*?(?:[^_-][_-]+(?=[^_-])|$)/g;
// Shorter words stay whole; what is longer than any text of ours is broken wherever it must be.
const LONG_WORD = 20;
const LONGEST = 400;

// The parts lie in one flat list: in lists within it, this Preact puts the next text in another order.
export function Breakable({ text }) {
  if (typeof text !== "string" || text.length > LONGEST) return html`<bdi>${text}</bdi>`;
  return html`<bdi>${text.split(/(\s+)/).flatMap((word) => (word.length > LONG_WORD ? parted(word) : [word]))}</bdi>`;
}

function parted(word) {
  const [first, ...others] = word.match(PART).filter((part) => part !== "");
  return [first, ...others.flatMap((part) => [html`<wbr />`, part])];
}
