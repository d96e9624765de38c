// The newest examinations of all skills, one line for each level that was asked.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Moment, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.guild.last;
const SHOWN = 12;

export function LastExaminations() {
  const parts = useResource(`/api/examinations?limit=${SHOWN}`, { on: ["examined", "rewound", "trainer_ready"] });
  const shown = parts.data?.examinations ?? null;
  return html`
    <${Card} id="last-examinations" title=${words.title}>
      <${Waiting} resource=${parts} />
      ${shown !== null && shown.length === 0 && html`<${Empty}>${words.none}<//>`}
      ${shown !== null && shown.length > 0 && html`<${Table} parts=${shown} />`}
    <//>
  `;
}

function Table({ parts }) {
  return html`
    <div class="table-frame" tabindex="0" role="region" aria-labelledby="last-examinations-title">
      <table>
        <thead>
          <tr>
            <th scope="col">${words.when}</th>
            <th scope="col">${words.skill}</th>
            <th scope="col">${words.level}</th>
            <th scope="col" class="number">${words.right}</th>
            <th scope="col" class="number on-desks">${words.step}</th>
          </tr>
        </thead>
        <tbody>
          ${parts.map((part) => html`<${Row} key="${part.exam_id}/${part.level}/${part.purpose}" part=${part} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Row({ part }) {
  const open = `/skill/${encodeURIComponent(part.skill)}?exam=${encodeURIComponent(part.exam_id)}`;
  const unknown = part.total - part.answered;
  return html`
    <tr>
      <td class="when"><a href=${open} aria-label=${words.open(part.exam_id)}><${Moment} at=${part.at} /></a></td>
      <td><bdi>${part.skill.toUpperCase()}</bdi></td>
      <td>${format.count(part.level)} <span class="quiet">${words.purposes[part.purpose]}</span></td>
      <td class="number">
        ${words.score(format.count(part.correct), format.count(part.total))}
        ${unknown > 0 && html`<span class="quiet block">${words.unknown(format.count(unknown))}</span>`}
      </td>
      <td class="number on-desks">${format.count(part.step)}</td>
    </tr>
  `;
}
