// Curves on a canvas (uPlot): drawn in the colours of the style sheet, zoomed by dragging, pinching, keys and buttons.
// What a zoom shows is asked of the server again by whoever uses this, so that no spike is lost at any width.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { html, useLayoutEffect, useRef } from "../preact.js";
import * as format from "../format.js";
import { aligned } from "./curve.js";
import { follow as followFingers } from "./fingers.js";

const FONT = "13px system-ui, sans-serif";
const SPREAD = "40"; // alpha of the band between the least and the greatest value
const EDGE = "70"; // and of its edges: a spike of one step is no wider than that
const AREA = "14";
// Between the marks below: no step is half a step.
const WHOLE_STEPS = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((times) => times * 10 ** power)).flat();
const dark = matchMedia("(prefers-color-scheme: dark)");

// `lines` is [{name, label, colour, dots}, …] with the curve of each in `curves`; `view` is [from, to] in steps, or null
// for all of it, which is `whole`. `onZoom([from, to] | null)` is called when somebody wants another one, `onPoint(index | null, steps)`
// for the place under the pointer. `fromZero` draws the axis of values from 0.
export function Chart({ lines, curves, view, whole, label, isTold, fromZero, onZoom, onPoint }) {
  const frame = useRef();
  const plot = useRef(null);
  const latest = useRef();
  latest.current = { lines, curves, view, whole, fromZero, onZoom, onPoint };

  // With the drawing of the page: a hand that zooms would take hold of a curve that its captions do not tell of.
  useLayoutEffect(() => {
    const made = make(frame.current, latest);
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize(sizeOf(frame.current)));
    watcher.observe(frame.current);
    const recolour = () => made.redraw(false, true);
    dark.addEventListener("change", recolour);
    const letGo = followFingers(made, latest);
    return () => {
      letGo();
      dark.removeEventListener("change", recolour);
      watcher.disconnect();
      made.destroy();
    };
  }, []);

  useLayoutEffect(() => {
    plot.current.setData(aligned(curves), false);
    const [from, to] = view ?? ends(curves);
    // One step alone, or none yet, has no width.
    plot.current.setScale("x", from < to ? { min: from, max: to } : { min: from - 1, max: to + 1 });
  }, [curves, view?.[0], view?.[1], fromZero]);

  const [first, last] = ends(curves);
  return html`
    <div class="chart" role="img" aria-label=${label} ref=${frame}
      data-told=${String(isTold)} data-first=${first} data-last=${last} data-entries=${curves[0].steps.length} data-resolution=${curves[0].resolution}></div>
  `;
}

export function ends(curves) {
  const steps = curves.flatMap((curve) => (curve.steps.length > 0 ? [curve.steps[0], curve.steps.at(-1)] : []));
  return steps.length > 0 ? [Math.min(...steps), Math.max(...steps)] : [0, 1];
}

function make(element, latest) {
  const { lines, curves } = latest.current;
  const options = {
    ...sizeOf(element),
    legend: { show: false },
    padding: [10, 30, 0, 0],
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 8, fill: (_, index) => colourOf(lines, index) },
      // Its own double click would show what is loaded, not all there is.
      bind: { dblclick: () => () => latest.current.onZoom(null) },
    },
    scales: { x: { time: false }, y: { range: (_, low, high) => rangeOf(low, high, latest.current.fromZero) } },
    axes: [
      { ...axis(), values: told(format.count, latest), incrs: WHOLE_STEPS, space: 90, size: 34 },
      { ...axis(), values: told(format.rate, latest), size: widthOf, space: 44 },
    ],
    series: [{}, ...lines.flatMap(seriesOf)],
    bands: lines.map((line, index) => ({ series: [3 * index + 2, 3 * index + 1], fill: () => `${colour(line.colour)}${SPREAD}` })),
    hooks: { setSelect: [(plot) => select(plot, latest)], setCursor: [(plot) => point(plot, latest)] },
  };
  return new uPlot(options, aligned(curves), element);
}

// Three of uPlot's for each line: the least and the greatest value, between which is filled, and the mean.
function seriesOf({ colour: name, dots = false }) {
  const stroke = () => colour(name);
  const edge = { scale: "y", stroke: () => `${colour(name)}${EDGE}`, width: 1, spanGaps: true, points: { show: false } };
  if (dots) edge.paths = () => null;
  const mean = dots
    ? { ...edge, points: { show: true, size: 8, stroke, fill: () => colour("--card"), width: 2 } }
    : { scale: "y", stroke, width: 2, spanGaps: true, points: { show: false }, fill: () => `${colour(name)}${AREA}` };
  return [edge, { ...edge }, mean];
}

// Where there is no step yet, there is nothing to measure.
function told(tell, latest) {
  return (_, values) => values.map((value) => (latest.current.curves.some(({ steps }) => steps.length > 0) ? tell(value) : ""));
}

// Of the axis of values: as wide as what stands there.
function widthOf(_, values) {
  return 16 + 8 * Math.max(2, ...(values ?? []).map((value) => value.length));
}

function axis() {
  const grid = { stroke: () => colour("--line"), width: 1 };
  return { stroke: () => colour("--quiet"), font: FONT, grid, ticks: { show: false }, gap: 6 };
}

// From zero, so that a flat curve looks flat; of a part of it, what there is to see.
function rangeOf(low, high, fromZero) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return fromZero && low >= 0 ? [0, high + room] : [low - room, high + room];
}

function select(plot, latest) {
  const { left, width } = plot.select;
  if (width < 4) return;
  const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  latest.current.onZoom([Math.max(0, Math.round(from)), Math.max(1, Math.round(to))]);
}

function point(plot, latest) {
  latest.current.onPoint?.(plot.cursor.idx ?? null, plot.data);
}

function colourOf(lines, index) {
  return index > 0 && index % 3 === 0 ? colour(lines[index / 3 - 1].colour) : "transparent";
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function sizeOf(element) {
  return { width: Math.max(1, element.clientWidth), height: Math.max(1, element.clientHeight) };
}
