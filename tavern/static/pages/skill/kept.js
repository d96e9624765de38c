// What was kept of mastered levels: how each was answered when it was examined again.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Card, Empty } from "../../parts/panels.js";
import { share } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.skill.kept;
const BARS = 14;

export function Kept({ parts, levels }) {
  const courses = Map.groupBy ? Map.groupBy(parts, ({ level }) => level) : grouped(parts);
  const shown = levels.filter(({ level, state }) => state === "mastered" && courses.has(level));
  return html`
    <${Card} id="kept" title=${words.title}>
      <p class="quiet">${words.hint}</p>
      ${shown.length === 0 ? html`<${Empty}>${words.none}<//>` : html`<${Table} levels=${shown} courses=${courses} />`}
    <//>
  `;
}

function grouped(parts) {
  const found = new Map();
  for (const part of parts) found.set(part.level, [...(found.get(part.level) ?? []), part]);
  return found;
}

function Table({ levels, courses }) {
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">${words.level}</th>
            <th scope="col" class="course">${words.course}</th>
            <th scope="col" class="number">${words.last}</th>
          </tr>
        </thead>
        <tbody>
          ${levels.map((level) => html`<${Row} key=${level.level} level=${level} course=${courses.get(level.level)} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Row({ level, course }) {
  const last = share(course.at(-1).accuracy);
  const told = words.bars(format.count(course.length), last);
  return html`
    <tr data-state=${level.forgotten ? "forgotten" : "kept"}>
      <td class="number">${format.count(level.level)}</td>
      <td>
        <span class="kept-bars" role="img" aria-label=${told} title=${told} style=${{ "--threshold": level.threshold, "--count": Math.min(BARS, course.length) }}>
          ${course.slice(-BARS).map(
            ({ exam_id: id, accuracy }) => html`
              <i key=${id} style=${{ blockSize: `${Math.max(6, 100 * (accuracy ?? 0))}%` }} data-reaches=${String(accuracy >= level.threshold)}></i>
            `,
          )}
        </span>
      </td>
      <td class="number">${last}${level.forgotten && html`<span class="bad block">${words.forgotten}</span>`}</td>
    </tr>
  `;
}
