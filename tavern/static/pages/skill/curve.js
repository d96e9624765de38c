// How right the hero was at the level that was being learned, examination by examination.

import { html, useLayoutEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { Card, Empty, Moment } from "../../parts/panels.js";
import { share } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.skill.curve;
const HEIGHT = 190;
const MARGIN = { top: 22, right: 10, bottom: 24, left: 44 };
const TICKS = [0, 0.5, 1];

export function Curve({ history, threshold }) {
  const known = history.filter(({ accuracy }) => format.known(accuracy));
  return html`
    <${Card} id="curve" title=${words.title}>
      ${known.length === 0 ? html`<${Empty}>${words.none}<//>` : html`<${Figure} points=${known} threshold=${threshold} />`}
    <//>
  `;
}

function Figure({ points, threshold }) {
  const [width, frame] = useWidth();
  const [first, last] = [points[0].step, points.at(-1).step];
  const caption = points.length === 1
    ? words.one(format.count(first))
    : words.caption(format.count(points.length), format.count(first), format.count(last));
  return html`
    <figure class="curve" ref=${frame}>
      ${width > 0 && html`<${Drawing} points=${points} threshold=${threshold} width=${width} />`}
      <figcaption class="quiet">${caption}</figcaption>
      <details>
        <summary>${words.asTable}</summary>
        <${Table} points=${points} />
      </details>
    </figure>
  `;
}

function Drawing({ points, threshold, width }) {
  const [first, last] = [points[0].step, points.at(-1).step];
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const x = (step) => MARGIN.left + (last === first ? 0.5 : (step - first) / (last - first)) * inner.width;
  const y = (part) => MARGIN.top + (1 - part) * inner.height;
  // A line for each level: what was right at one says nothing of the next.
  const runs = points.reduce((found, point) => {
    if (found.at(-1)?.[0].training_level === point.training_level) found.at(-1).push(point);
    else found.push([point]);
    return found;
  }, []);
  const named = spaced(runs.slice(1).map(([{ step, training_level: level }]) => ({ at: x(step), level })));
  return html`
    <svg width=${width} height=${HEIGHT} aria-hidden="true">
      ${TICKS.map(
        (tick) => html`
          <g key=${tick}>
            <line class="grid" x1=${MARGIN.left} x2=${width - MARGIN.right} y1=${y(tick)} y2=${y(tick)} />
            <text x=${MARGIN.left - 6} y=${y(tick) + 4} text-anchor="end">${share(tick)}</text>
          </g>
        `,
      )}
      ${format.known(threshold) &&
      html`<line class="threshold" x1=${MARGIN.left} x2=${width - MARGIN.right} y1=${y(threshold)} y2=${y(threshold)} />
        <text class="threshold-name" x=${width - MARGIN.right} y=${y(threshold) + 14} text-anchor="end">${words.threshold}</text>`}
      ${runs.slice(1).map(([{ step }]) => html`<line key="r${step}" class="risen" x1=${x(step)} x2=${x(step)} y1=${MARGIN.top} y2=${y(0)} />`)}
      ${named.map(({ at, level }) => html`<text key="n${at}" class="risen-name" x=${at} y=${MARGIN.top - 8} text-anchor="middle"><title>${words.risen(format.count(level))}</title>${format.count(level)}</text>`)}
      ${runs.map((run) => html`<polyline key="l${run[0].exam_id}" class="line" points=${run.map((p) => `${x(p.step)},${y(p.accuracy)}`).join(" ")} />`)}
      ${points.map(
        (point) => html`
          <circle key=${point.exam_id} class="point" cx=${x(point.step)} cy=${y(point.accuracy)} r="3.5">
            <title>${words.point(format.count(point.step), format.count(point.training_level), share(point.accuracy))}</title>
          </circle>
        `,
      )}
      <text x=${MARGIN.left} y=${HEIGHT - 6}>${words.step} ${format.count(first)}</text>
      ${last !== first && html`<text x=${width - MARGIN.right} y=${HEIGHT - 6} text-anchor="end">${format.count(last)}</text>`}
    </svg>
  `;
}

// Names of levels that would stand upon one another are left out, the later ones stay.
function spaced(names) {
  const kept = [];
  for (const name of [...names].reverse()) {
    if (kept.length === 0 || kept.at(-1).at - name.at > 18) kept.push(name);
  }
  return kept;
}

function Table({ points }) {
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">${words.step}</th>
            <th scope="col" class="number">${words.level}</th>
            <th scope="col" class="number">${words.accuracy}</th>
            <th scope="col">${words.when}</th>
          </tr>
        </thead>
        <tbody>
          ${[...points].reverse().map(
            ({ exam_id: id, step, training_level: level, accuracy, timestamp }) => html`
              <tr key=${id}>
                <td class="number">${format.count(step)}</td>
                <td class="number">${format.count(level)}</td>
                <td class="number">${share(accuracy)}</td>
                <td><${Moment} at=${timestamp} /></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function useWidth() {
  const element = useRef();
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  return [width, element];
}
