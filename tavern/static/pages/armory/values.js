// Values of settings as people read and write them.

import { html } from "../../preact.js";
import { texts } from "../../texts.js";

const LONGEST = 80;

export function told(value) {
  if (value === null || value === undefined) return texts.armory.none;
  if (value === true) return texts.armory.on;
  if (value === false) return texts.armory.off;
  if (Array.isArray(value)) return value.length ? value.map(told).join(", ") : texts.armory.none;
  if (typeof value === "object") {
    if ("shown" in value) return value.shown;
    return Object.entries(value)
      .map(([name, one]) => `${name}: ${told(one)}`)
      .join(", ");
  }
  const text = String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

// `learning_rate` as "Learning rate".
export function titleOf(name) {
  const words = name.split(".").pop().replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

export function sectionTitle(name) {
  return texts.armory.names[name] ?? titleOf(name);
}

// What was typed into a field of a number: a number where it is one, else the text, of which the realm says what is wrong.
export function numberFrom(text, setting) {
  const typed = text.trim();
  if (typed === "") return setting.nullable ? null : "";
  const value = Number(typed);
  return Number.isFinite(value) ? value : typed;
}

export function limitsOf(setting) {
  const parts = Object.entries(setting.limits).map(([name, value]) => texts.armory.limits[name](limit(value)));
  if (setting.words.length) parts.push(texts.armory.orWord(setting.words.join(", ")));
  return parts.join(", ");
}

function limit(value) {
  return Math.abs(value) >= 1000 ? value.toLocaleString("en-US") : String(value);
}

// Help as it stands in the file, with what stands between backticks as code.
export function explained(text) {
  return text.split("`").map((part, index) => (index % 2 ? html`<code key=${index}>${part}</code>` : part));
}
