// The loss of the hero's whole life, training and validation: any part of it as fine as the screen can show, live.

import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import * as format from "../format.js";
import { useRealm } from "../link/realm.js";
import { useResource } from "../link/resource.js";
import { texts } from "../texts.js";
import { Chart } from "./chart.js";
import { cut, extended, followed, moved, ofPoints, upTo, zoomed } from "./curve.js";

const LINES = [
  { name: "train_loss", colour: "--accent" },
  { name: "val_loss", colour: "--validation", dots: true },
];
const POINTS = 1000;
// Events after which the past is another one.
const TURNS = ["rewound", "adopted", "went_back", "hero_changed", "trainer_ready", "database_corrupt"];
// The live end of a curve is asked for anew, with what frames have left out, when it is this part of what is shown.
const STALE_PART = 0.05;
const STALE_STEPS = 200;
const LIVE_POINTS = 5000;
const NONE = [];
const BUTTON_PART = 0.5;
const REST_MS = 120;
const LAGS_MS = 10_000;
const byTouch = matchMedia("(pointer: coarse)");

export function LossChart({ id = "loss-chart" }) {
  const [view, setView] = useState(null);
  const [place, setPlace] = useState(null);
  const points = useRealm(({ snapshot }) => snapshot?.loss ?? null);
  const validation = useRealm(({ snapshot }) => snapshot?.validation ?? null);
  const live = useLive();
  const newest = live.at(-1)?.[0] ?? null;
  const asked = useSettled(view);
  const loss = useCurve("train_loss", asked, points, live, newest);
  const measured = useCurve("val_loss", asked, validation, validation ?? NONE, newest);
  const whole = wholeOf(points, loss.told);
  const curves = useMemo(() => [loss.curve, measured.curve], [loss.curve, measured.curve]);
  const change = (wanted) => setView(wanted === null || (whole[0] >= wanted[0] && wanted[1] >= whole[1]) ? null : wanted);

  const zoom = (factor) => {
    const shown = view ?? whole;
    change(zoomed(shown, factor, (shown[0] + shown[1]) / 2, whole));
  };
  const move = (part) => view !== null && setView(moved(view, part, whole));
  const press = (event) => {
    const does = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => setView(null) };
    Object.assign(does, { ArrowLeft: () => move(-BUTTON_PART / 2), ArrowRight: () => move(BUTTON_PART / 2) });
    if (!(event.key in does) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    does[event.key]();
  };
  return html`
    <figure class="loss-chart" id=${id} data-zoomed=${String(view !== null)} data-empty=${String(view === null && curves.every(({ steps }) => steps.length === 0))}>
      <div class="chart-keys" tabindex="0" role="group" aria-label=${texts.chart.keys} onKeyDown=${press}>
        <${Chart} lines=${LINES} curves=${curves} view=${view} whole=${whole} label=${texts.chart.label(captionOf(points, validation))}
          isTold=${loss.told !== null} fromZero=${view === null} onZoom=${change} onPoint=${(index, data) => setPlace(placeOf(index, data))} />
      </div>
      <div class="chart-foot">
        <p class="chart-place" aria-hidden="true">${place === null ? shownOf(view, whole) : readout(place)}</p>
        <div class="chart-buttons" role="group" aria-label=${texts.chart.buttons}>
          <${Press} name="left" disabled=${view === null || view[0] <= whole[0]} onClick=${() => move(-BUTTON_PART)} />
          <${Press} name="right" disabled=${view === null || view[1] >= whole[1]} onClick=${() => move(BUTTON_PART)} />
          <${Press} name="out" disabled=${view === null} onClick=${() => zoom(2)} />
          <${Press} name="in" disabled=${whole[1] - whole[0] < 9} onClick=${() => zoom(0.5)} />
          <${Press} name="all" disabled=${view === null} onClick=${() => setView(null)} />
        </div>
      </div>
      <figcaption id="loss-caption">${captionOf(points, validation)}</figcaption>
    </figure>
  `;
}

function Press({ name, disabled, onClick }) {
  const { sign, label } = texts.chart.press[name];
  return html`<button type="button" data-chart=${name} aria-label=${label} title=${label} disabled=${disabled} onClick=${onClick}>${sign}</button>`;
}

// Every step that the stream has told of since the page was opened, without those that a rewind took back.
function useLive() {
  const training = useRealm(({ snapshot }) => snapshot?.training ?? null);
  const known = useRef([]);
  if (training !== null) {
    const newest = training.train_loss_history ?? [];
    const { current_step: step, loss } = training;
    // The history may end before the step that is told, or, after a replay began, behind it.
    const before = newest.filter(([at]) => at < step);
    known.current = upTo(followed(known.current, [...before, [step, loss]]), step);
  }
  return known.current;
}

// The curve to draw: what the server tells of the view, until then what there was, at first the points of the snapshot.
// What lies behind the `newest` step of training was taken back.
function useCurve(name, view, points, live, newest) {
  const [from, to] = view ?? [null, null];
  const part = view === null ? "" : `&from_step=${from}&to_step=${to}`;
  const resource = useResource(`/api/series/${name}?points=${POINTS}${part}`, { on: TURNS });
  const last = useRef(null);
  if (resource.data !== null) last.current = { told: resource.data, view };
  const told = last.current?.told ?? null;
  const end = told?.steps.at(-1) ?? null;

  const beyond = live.length > 0 && end !== null && view === null ? live.at(-1)[0] - end : 0;
  const lags = beyond > Math.max(STALE_STEPS, Math.min(LIVE_POINTS, STALE_PART * (end ?? 0)));
  useEffect(() => {
    if (!lags) return undefined;
    // The answer may lag as well, as while the realm is busy, or fail.
    resource.refresh();
    const timer = setInterval(resource.refresh, LAGS_MS);
    return () => clearInterval(timer);
  }, [lags]);

  const curve = useMemo(() => {
    // Without an answer, or where there is none yet for a new hero, what the snapshot knows.
    const base = told === null || (told.steps.length === 0 && told.last_step === null) ? ofPoints(points ?? NONE) : told;
    const trunk = newest === null ? base : cut(base, newest);
    // Of a view that ends in the past nothing goes on.
    const follows = view === null || (told !== null && to >= (told.last_step ?? 0));
    return follows && newest !== null ? extended(trunk, upTo(live, newest)) : trunk;
  }, [told, points, live, newest, to]);
  return { curve, told };
}

// The view, once fingers and keys rest: each of their moves would ask the server otherwise.
function useSettled(view) {
  const [settled, setSettled] = useState(view);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(view), REST_MS);
    return () => clearTimeout(timer);
  }, [view?.[0], view?.[1]]);
  return settled;
}

function wholeOf(points, told) {
  const first = told?.first_step ?? points?.[0]?.[0] ?? 0;
  const last = Math.max(told?.last_step ?? 0, points?.at(-1)?.[0] ?? 0);
  return [first, Math.max(last, first + 1)];
}

function placeOf(index, data) {
  if (index === null || data[0][index] === undefined) return null;
  return { step: data[0][index], low: data[1][index], high: data[2][index], mean: data[3][index], validation: data[6][index] };
}

function readout({ step, low, high, mean, validation }) {
  const parts = [texts.chart.step(format.count(step))];
  if (format.known(mean)) parts.push(texts.chart.mean(format.loss(mean)));
  if (format.known(low) && low < high) parts.push(texts.chart.spread(format.loss(low), format.loss(high)));
  if (format.known(validation)) parts.push(texts.chart.validation(format.loss(validation)));
  return parts.join(" · ");
}

function shownOf(view, whole) {
  const [from, to] = view ?? whole;
  if (view === null) return byTouch.matches ? texts.chart.wholeByTouch : texts.chart.whole;
  return texts.chart.part(format.count(from), format.count(to));
}

function captionOf(losses, validation) {
  if (!losses?.length) return texts.loss.none;
  const [firstStep, first] = losses[0];
  const [lastStep, last] = losses.at(-1);
  const shown = [format.loss(first), format.count(firstStep), format.loss(last), format.count(lastStep)];
  const text = losses.length === 1 ? texts.loss.one(shown[0], shown[1]) : texts.loss.caption(...shown);
  if (!validation?.length) return text;
  const [step, loss] = validation.at(-1);
  return text + texts.loss.captionValidation(format.loss(loss), format.count(step));
}
