// What the page knows of the realm: the newest snapshot, moved on by the stream. One for all pages.

import { useLayoutEffect, useRef, useState } from "../preact.js";
import { stateOf } from "./states.js";
import { Link } from "./stream.js";

const POINTS_AT_MOST = 1000;
const EVENTS_AT_MOST = 30;
// Frames come in their order, and a snapshot overtakes one by less than this: what is older tells of another clock.
const SET_BACK_MS = 2000;

// `gaps` counts how often more has happened than listeners could be told of, as while a computer slept.
let now = { link: "connecting", awayReason: null, snapshot: null, gaps: 0 };
// What components draw: one and the same moment in all of them, also in one that is mounted while news come in.
let shown = now;
let frame = null;
let frameArrived = 0;
let newestAsked = -Infinity; // when the snapshot that is shown was asked for
let aheadMs = 0; // how far the realm's clock is ahead of this computer's
let tellingPlanned = false;
let lastTold = null; // id of the newest event that listeners have been told of
const watchers = new Set();
const listeners = new Set();

const link = new Link({ onSnapshot, onProgress, onEvent, onAway });

export function connect() {
  link.start();
}

// Ask for a new snapshot, within a second.
export function refreshSoon() {
  link.refreshSoon();
}

// What `select` finds in {link, awayReason, snapshot, gaps}; the component is drawn again when that has become another.
export function useRealm(select) {
  const [, redraw] = useState(0);
  const latest = useRef();
  latest.current = { select, selected: select(shown) };
  useLayoutEffect(() => {
    const watch = () => {
      if (!Object.is(latest.current.select(shown), latest.current.selected)) redraw((count) => count + 1);
    };
    watchers.add(watch);
    return () => watchers.delete(watch);
  }, []);
  return latest.current.selected;
}

// The state to show: what the daemon reports while it is heard, otherwise that it is not heard.
export function shownState({ link: heard, snapshot }) {
  return heard === "open" ? stateOf(snapshot?.realm?.state ?? "unknown") : heard;
}

// What the realm's own clock says, in milliseconds: that of this computer may be hours off.
export function realmTime() {
  return Date.now() + aheadMs;
}

// Calls `listener(event)` once for each durable event from now on, in their order, those included that happened while
// the realm was out of reach (as far as the snapshot tells them); returns how to end that.
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function change(news) {
  now = { ...now, ...news };
  if (tellingPlanned) return;
  tellingPlanned = true;
  // Not requestAnimationFrame: a hidden tab shows its progress in the title.
  setTimeout(() => {
    tellingPlanned = false;
    shown = now;
    for (const watch of [...watchers]) watch();
  }, 0);
}

function millisecondsAhead(first, second) {
  return Date.parse(first.timestamp) - Date.parse(second.timestamp);
}

function onSnapshot(snapshot, asked, isFirst) {
  // A connection that broke leaves its question behind: the answer comes after that to a newer one, and is older.
  if (asked < newestAsked) return;
  newestAsked = asked;
  aheadMs = Date.parse(snapshot.timestamp) - Date.now();
  // A snapshot can arrive after a frame that is younger than it: the step must not jump back (F1). Within one
  // millisecond, which is all that a browser can tell apart, the frame wins. One that was asked for after the frame had
  // come is newer whatever its time says: the clock of the realm may have been set back.
  if (frame !== null && (asked > frameArrived || millisecondsAhead(snapshot, frame) > 0)) frame = null;
  change({ snapshot: frame === null ? snapshot : withFrame(snapshot, frame), link: "open", awayReason: null });
  // Ids that begin anew are those of another database; a snapshot that only comes late has lower ones as well.
  const beginsAnew = lastTold !== null && isFirst && snapshot.last_event_id < lastTold;
  if (beginsAnew || (lastTold !== null && snapshot.events?.[0]?.id > lastTold + 1)) change({ gaps: now.gaps + 1 });
  if (beginsAnew || lastTold === null) lastTold = snapshot.last_event_id;
  for (const event of snapshot.events ?? []) tell(event);
}

function onProgress(progress) {
  if (now.snapshot === null) return;
  const behind = millisecondsAhead(frame ?? now.snapshot, progress);
  if (behind > 0) {
    if (behind > SET_BACK_MS) link.refreshSoon();
    return;
  }
  frame = progress;
  frameArrived = performance.now();
  change({ snapshot: withFrame(now.snapshot, progress) });
}

function withFrame(snapshot, progress) {
  const merged = { ...snapshot, ...progress };
  const { current_step: step, loss } = progress.training ?? {};
  if (Number.isFinite(step) && Number.isFinite(loss)) merged.loss = withPoint(snapshot.loss ?? [], step, loss);
  return merged;
}

// Each step once; after a rewind the curve is cut back to where training goes on (F9).
function withPoint(points, step, loss) {
  const kept = points.filter(([at]) => at < step);
  kept.push([step, loss]);
  return kept.length > POINTS_AT_MOST ? kept.filter((_, index) => index % 2 === 0 || index === kept.length - 1) : kept;
}

function onEvent(event) {
  if (now.snapshot === null) return;
  const events = now.snapshot.events ?? [];
  if (!events.some(({ id }) => id === event.id)) {
    change({ snapshot: { ...now.snapshot, events: [...events, event].slice(-EVENTS_AT_MOST) } });
  }
  tell(event);
}

function tell(event) {
  if (event.id <= lastTold) return;
  lastTold = event.id;
  for (const listener of [...listeners]) listener(event);
}

function onAway(reason) {
  change({ link: "away", awayReason: reason });
}
