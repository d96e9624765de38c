// Every examination in the skill, level by level, a page at a time.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Moment, Pager, Waiting } from "../../parts/panels.js";
import { share } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.skill.exams;
const SHOWN = 15;

export function Exams({ skill, opened }) {
  const [offset, move] = useState(0);
  const path = `/api/evals/${encodeURIComponent(skill)}?limit=${SHOWN}&offset=${offset}`;
  const found = useKept(useResource(path, { on: ["examined", "rewound", "trainer_ready"] }));
  const { data } = found;
  return html`
    <${Card} id="exams" title=${words.title}>
      <${Waiting} resource=${found} />
      ${data !== null && data.total === 0 && html`<${Empty}>${words.none}<//>`}
      ${data !== null && data.total > 0 && html`<${Table} skill=${skill} parts=${data.evaluations} opened=${opened} />`}
      <${Pager} offset=${offset} limit=${SHOWN} total=${data?.total} onMove=${move} />
    <//>
  `;
}

function Table({ skill, parts, opened }) {
  return html`
    <div class="table-frame" tabindex="0" role="region" aria-labelledby="exams-title">
      <table>
        <thead>
          <tr>
            <th scope="col">${words.id}</th>
            <th scope="col" class="on-desks">${words.when}</th>
            <th scope="col">${words.level}</th>
            <th scope="col" class="number">${words.right}</th>
            <th scope="col" class="number on-desks">${words.step}</th>
          </tr>
        </thead>
        <tbody>
          ${parts.map((part) => html`<${Row} key=${part.key} skill=${skill} part=${part} isOpen=${part.exam_id === opened} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Row({ skill, part, isOpen }) {
  const address = `/skill/${encodeURIComponent(skill)}?exam=${encodeURIComponent(part.exam_id)}`;
  const unknown = part.total - part.answered;
  return html`
    <tr data-open=${String(isOpen)}>
      <td><a href=${address} aria-label=${words.openOne(part.exam_id)} aria-current=${isOpen ? "true" : null}>${part.exam_id}</a></td>
      <td class="on-desks when"><${Moment} at=${part.timestamp} /></td>
      <td>${format.count(part.level)} <span class="quiet">${words.purposes[part.validation_type]}</span></td>
      <td class="number">
        <b>${share(part.accuracy)}</b> <span class="quiet">${texts.guild.last.score(format.count(part.correct), format.count(part.total))}</span>
        ${unknown > 0 && html`<span class="quiet block">${texts.guild.last.unknown(format.count(unknown))}</span>`}
      </td>
      <td class="number on-desks">${format.count(part.checkpoint_step)}</td>
    </tr>
  `;
}
