// What draws the page: Preact, with templates that keep nothing of what they have drawn.

import htm from "./vendor/preact/htm.module.js";
import { h } from "./vendor/preact/standalone.module.js";

export * from "./vendor/preact/standalone.module.js";

// The `html` that comes with Preact makes what never changes within a template but once, and that one element keeps all
// that stood around it where it was first drawn. In a list that moves on, whatever is kept knows its successor: no row
// that ever stood in it was freed. 3 calls every element changing (README of htm, "Caching").
export const html = htm.bind(function (...parts) {
  this[0] = 3;
  return h(...parts);
});
