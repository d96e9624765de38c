// The loss curve: one line per run of steps, dots for the validation loss, drawn at the size the element has.

import * as format from "./format.js";
import { texts } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 12, right: 14, bottom: 26, left: 46 };

let drawn = {};

// `losses` and `validation` are [[step, loss], …] with rising steps.
export function drawLosses(svg, caption, losses, validation) {
  const { width, height } = svg.getBoundingClientRect();
  const wanted = { losses, validation, width, height };
  if (Object.keys(wanted).every((key) => drawn[key] === wanted[key])) return;
  drawn = wanted;
  caption.textContent = captionOf(losses, validation);
  svg.replaceChildren();
  const points = [...losses, ...validation];
  if (points.length === 0 || width === 0) return;
  const scales = scalesFor(points, width, height);
  drawAxes(svg, scales, width, height);
  drawLine(svg, losses, scales);
  for (const [step, loss] of validation) {
    svg.append(make("circle", { class: "validation", cx: scales.x(step), cy: scales.y(loss), r: 3.5 }));
  }
  if (losses.length > 0) {
    const [step, loss] = losses.at(-1);
    svg.append(make("circle", { class: "now", cx: scales.x(step), cy: scales.y(loss), r: 4 }));
  }
  addReadout(svg, losses, scales, width);
}

function captionOf(losses, validation) {
  if (losses.length === 0) return texts.loss.none;
  const [firstStep, first] = losses[0];
  const [lastStep, last] = losses.at(-1);
  const shown = [format.loss(first), format.count(firstStep), format.loss(last), format.count(lastStep)];
  const text = losses.length === 1 ? texts.loss.one(shown[0], shown[1]) : texts.loss.caption(...shown);
  if (validation.length === 0) return text;
  const [step, loss] = validation.at(-1);
  return text + texts.loss.captionValidation(format.loss(loss), format.count(step));
}

function scalesFor(points, width, height) {
  const steps = points.map(([step]) => step);
  const [firstStep, lastStep] = [Math.min(...steps), Math.max(...steps)];
  const top = Math.max(...points.map(([, loss]) => loss)) || 1;
  const tick = niceTick(top / 4);
  const most = Math.ceil(top / tick) * tick;
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  return {
    x: (step) => MARGIN.left + (lastStep === firstStep ? 0.5 : (step - firstStep) / (lastStep - firstStep)) * inner.width,
    // From zero, so that a flat curve looks flat.
    y: (loss) => MARGIN.top + (1 - loss / most) * inner.height,
    ticks: Array.from({ length: Math.round(most / tick) + 1 }, (_, index) => index * tick),
    steps: lastStep === firstStep ? [firstStep] : [firstStep, lastStep],
  };
}

function niceTick(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}

function drawAxes(svg, { x, y, ticks, steps }, width, height) {
  for (const tick of ticks) {
    svg.append(make("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
    svg.append(label(format.rate(tick), { x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }));
  }
  steps.forEach((step, index) => {
    const anchor = steps.length === 1 ? "middle" : index === 0 ? "start" : "end";
    const text = `${texts.loss.step} ${format.count(step)}`;
    svg.append(label(text, { x: x(step), y: height - 6, "text-anchor": anchor }));
  });
}

function drawLine(svg, losses, { x, y }) {
  if (losses.length < 2) return;
  const path = losses.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`);
  const [first, last] = [x(losses[0][0]).toFixed(1), x(losses.at(-1)[0]).toFixed(1)];
  svg.append(make("path", { class: "area", d: `M${first},${y(0)} L${path.join(" L")} L${last},${y(0)} Z` }));
  svg.append(make("path", { class: "line", d: `M${path.join(" L")}` }));
}

// The step under the pointer, in numbers.
function addReadout(svg, losses, { x, y }, width) {
  if (losses.length === 0) return;
  const marker = make("circle", { class: "marker", r: 4 });
  const text = label("", { y: MARGIN.top + 6 });
  const readout = make("g", { class: "readout", visibility: "hidden" });
  readout.append(marker, text);
  svg.append(readout);
  svg.onpointerleave = () => readout.setAttribute("visibility", "hidden");
  svg.onpointermove = (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const [step, loss] = losses.reduce((best, point) => (Math.abs(x(point[0]) - at) < Math.abs(x(best[0]) - at) ? point : best));
    const isLeft = x(step) < width / 2;
    setAll(marker, { cx: x(step), cy: y(loss) });
    setAll(text, { x: x(step) + (isLeft ? 8 : -8), "text-anchor": isLeft ? "start" : "end" });
    text.textContent = texts.loss.readout(format.count(step), format.loss(loss));
    readout.setAttribute("visibility", "visible");
  };
}

function make(name, attributes) {
  return setAll(document.createElementNS(SVG, name), attributes);
}

function label(text, attributes) {
  const element = make("text", attributes);
  element.textContent = text;
  return element;
}

function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
