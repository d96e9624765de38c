// Numbers, durations and times as people read them. Unknown (null, undefined, NaN) is a dash, never 0 (F1).

import { texts } from "./texts.js";

const LOCALE = "en-US";
// A unit never begins a line without its number.
const SPACE = "\u00a0";

export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

export function count(value) {
  return known(value) ? Math.round(value).toLocaleString(LOCALE) : texts.unknown;
}

export function loss(value) {
  if (!known(value)) return texts.unknown;
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(2);
  return value.toFixed(value >= 100 ? 1 : value >= 10 ? 2 : value >= 0.1 ? 3 : 4);
}

export function stat(value) {
  return known(value) ? value.toLocaleString(LOCALE, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 }) : texts.unknown;
}

export function rate(value) {
  return known(value) ? String(Number(value.toPrecision(3))) : texts.unknown;
}

export function percent(part, whole) {
  if (!known(part) || !known(whole) || whole <= 0) return texts.unknown;
  // Rounded down: 100 % is shown when the last row is learned, not before.
  return `${Math.floor((100 * Math.min(part, whole)) / whole)}${SPACE}%`;
}

// A change as a share of what was before: −0.081 is −8.1 %.
export function change(share) {
  if (!known(share)) return texts.unknown;
  const percent = (100 * Math.abs(share)).toFixed(Math.abs(share) < 0.1 ? 1 : 0);
  return `${share < 0 ? "−" : "+"}${percent}${SPACE}%`;
}

export function parameters(value) {
  if (!known(value)) return texts.unknown;
  return value.toLocaleString(LOCALE, { notation: "compact", maximumSignificantDigits: 3 });
}

export function duration(seconds) {
  if (!known(seconds)) return texts.unknown;
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours >= 48) return `${Math.round(hours / 24)}${SPACE}days`;
  if (hours > 0) return `${hours}${SPACE}h${SPACE}${String(minutes).padStart(2, "0")}${SPACE}min`;
  if (minutes > 0) return `${minutes}${SPACE}min${SPACE}${String(whole % 60).padStart(2, "0")}${SPACE}s`;
  return `${whole}${SPACE}s`;
}

export function size(gigabytes) {
  if (!known(gigabytes)) return texts.unknown;
  if (gigabytes < 0.0001) return gigabytes < 0.000001 ? `${Math.round(gigabytes * 1e9)}${SPACE}bytes` : `${(gigabytes * 1e6).toFixed(1)}${SPACE}kB`;
  return gigabytes >= 1 ? `${gigabytes.toFixed(2)}${SPACE}GB` : `${(gigabytes * 1000).toFixed(gigabytes >= 0.1 ? 0 : 1)}${SPACE}MB`;
}

// Of memory or a disk, in gigabytes, without the unit.
export function gigabytes(value) {
  return known(value) ? value.toLocaleString(LOCALE, { maximumFractionDigits: value < 10 ? 1 : 0 }) : texts.unknown;
}

// The time of day, with the date in front when it is not today.
export function time(iso) {
  const moment = iso ? new Date(iso) : null;
  if (moment === null || Number.isNaN(moment.getTime())) return texts.unknown;
  const clock = moment.toLocaleTimeString(LOCALE, { hourCycle: "h23" });
  if (moment.toDateString() === new Date().toDateString()) return clock;
  return `${moment.toLocaleDateString(LOCALE, { month: "short", day: "numeric" })}, ${clock}`;
}

// The time of day alone, and the day alone.
export function clock(iso) {
  return new Date(iso).toLocaleTimeString(LOCALE, { hourCycle: "h23" });
}

export function day(moment) {
  return new Date(moment).toLocaleDateString(LOCALE, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
}
