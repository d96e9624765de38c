// Names and figures of quests as they are shown: links to the Inspector, sizes, changes of the loss, moments to come.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { texts } from "../../texts.js";

const words = texts.quests;

export function inspectorOf({ quest_id: id, file }) {
  return `/quests/${encodeURIComponent(id ?? file)}`;
}

export function bytes(count) {
  if (!format.known(count)) return texts.unknown;
  if (count < 1000) return `${format.count(count)} bytes`;
  return count < 100_000 ? `${(count / 1000).toFixed(1)} kB` : format.size(count / 1e9);
}

// "2.31 → 0.74", told to be better or worse by more than its colour.
export function LossChange({ first, last }) {
  if (!format.known(first) && !format.known(last)) return texts.unknown;
  const better = format.known(first) && format.known(last) ? (last < first ? "is-better" : last > first ? "is-worse" : "") : "";
  return html`<span class="loss-change ${better}">${words.history.change(format.loss(first), format.loss(last))}</span>`;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;

// The time of day so many seconds after the realm has told them, as exact as an estimate can be; null when unknown.
export function clockIn(timestamp, seconds) {
  if (!format.known(seconds) || !timestamp) return null;
  const clock = format.time(new Date(Date.parse(timestamp) + 1000 * seconds).toISOString());
  return seconds < 2 * MINUTE ? clock : clock.replace(/:\d\d$/, "");
}

// A duration that is an estimate; null when unknown.
export function roughly(seconds) {
  if (!format.known(seconds)) return null;
  const unit = seconds < 2 * MINUTE ? 1 : seconds < 3 * HOUR ? MINUTE : 10 * MINUTE;
  return format.duration(Math.max(1, Math.round(seconds / unit)) * unit).replace(/ 00 (s|min)$/, "");
}

export function Badge({ kind, children }) {
  return html`<span class="badge" data-kind=${kind}>${children}</span>`;
}
