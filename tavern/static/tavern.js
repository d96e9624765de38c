// The page: keeps the newest snapshot, lets the stream move it, and hands every change to the view.

import { post, request } from "./api.js";
import { Link } from "./stream.js";
import { texts } from "./texts.js";
import { askToSkip, fillTexts, render, showAnswer } from "./view.js";

const POINTS_AT_MOST = 1000;
const EVENTS_AT_MOST = 30;
// Frames come in their order, and a snapshot overtakes one by less than this: what is older tells of another clock.
const SET_BACK_MS = 2000;

const model = { link: "connecting", awayReason: null, snapshot: null };
let frame = null;
let frameArrived = 0;
let renderPlanned = false;

function changed() {
  if (renderPlanned) return;
  renderPlanned = true;
  // Not requestAnimationFrame: a hidden tab shows its progress in the title.
  setTimeout(() => {
    renderPlanned = false;
    render(model);
  }, 0);
}

function millisecondsAhead(first, second) {
  return Date.parse(first.timestamp) - Date.parse(second.timestamp);
}

function onSnapshot(snapshot, asked) {
  // A snapshot can arrive after a frame that is younger than it: the step must not jump back (F1). Within one
  // millisecond, which is all that a browser can tell apart, the frame wins. One that was asked for after the frame had
  // come is newer whatever its time says: the clock of the realm may have been set back.
  if (frame !== null && (asked > frameArrived || millisecondsAhead(snapshot, frame) > 0)) frame = null;
  if (frame !== null) snapshot = withFrame(snapshot, frame);
  Object.assign(model, { snapshot, link: "open", awayReason: null });
  changed();
}

function onProgress(progress) {
  if (model.snapshot === null) return;
  const behind = millisecondsAhead(frame ?? model.snapshot, progress);
  if (behind > 0) {
    if (behind > SET_BACK_MS) link.refreshSoon();
    return;
  }
  frame = progress;
  frameArrived = performance.now();
  model.snapshot = withFrame(model.snapshot, progress);
  changed();
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
  const events = model.snapshot?.events ?? [];
  if (model.snapshot === null || events.some(({ id }) => id === event.id)) return;
  model.snapshot = { ...model.snapshot, events: [...events, event].slice(-EVENTS_AT_MOST) };
  changed();
}

function onAway(reason) {
  Object.assign(model, { link: "away", awayReason: reason });
  changed();
}

async function control(button) {
  const { action } = button.dataset;
  if (action === "skip" && !(await askToSkip(model.snapshot.quest))) return;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await post("/api/daemon/control", { action });
    showAnswer(answer.message ?? texts.controls.asked(texts.controls[action]), answer.success !== false);
    link.refreshSoon();
  } catch (error) {
    showAnswer(texts.controls.failed(error.message), false);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

const link = new Link({ onSnapshot, onProgress, onEvent, onAway });
fillTexts();
for (const button of document.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => control(button));
}
new ResizeObserver(changed).observe(document.getElementById("chart"));
render(model);
link.start();
// Who has not logged in cannot log out.
request("/api/session").then(
  ({ login }) => document.getElementById("logout").toggleAttribute("hidden", !login),
  () => {},
);
