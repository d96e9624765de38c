// The rows of a learned quest with the highest loss in their last lesson: what the hero still cannot say.

import { html, useState } from "../../../preact.js";
import * as format from "../../../format.js";
import { useKept } from "../../../link/kept.js";
import { useResource } from "../../../link/resource.js";
import { Card, Pager, Waiting } from "../../../parts/panels.js";
import { texts } from "../../../texts.js";

const SHOWN = 8;
const NOT_FOUND = 404;
const BOOKED = ["quest_sealed", "checkpoint_saved"];
// Of a quest of gigabytes, the scribe looks for the rows.
const LONGEST_MS = 75_000;
const words = texts.quests.worst;

// Nothing at all where nothing is on record: a quest that waits, or whose book was too large to keep.
export function WorstCard({ path }) {
  const [offset, move] = useState(0);
  const book = useKept(useResource(`${path}/row-losses?limit=${SHOWN}&offset=${offset}`, { on: BOOKED, timeout: LONGEST_MS }));
  const { data, error } = book;
  if (error?.status === NOT_FOUND || (data !== null && data.rows_known === 0)) return null;
  return html`
    <${Card} id="worst" title=${words.title}>
      <${Waiting} resource=${book} />
      ${data && html`<p class="quiet">${summary(data)}</p>`} ${data && html`<${Table} rows=${data.shown} />`}
      <${Pager} offset=${offset} limit=${SHOWN} total=${data?.rows_known} onMove=${move} />
    <//>
  `;
}

function summary({ rows, rows_learned: learned, mean_first_loss: first, mean_last_loss: last }) {
  return words.summary(format.count(learned), format.count(rows), format.loss(first), format.loss(last));
}

function Table({ rows }) {
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">${words.row}</th>
            <th scope="col" class="number">${words.first}</th>
            <th scope="col" class="number">${words.last}</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ({ row, preview, first_loss: first, last_loss: last }) => html`
              <tr key=${row} data-row=${row}>
                <td>${words.number(format.count(row))} <bdi class="quiet block">${preview ?? texts.unknown}</bdi></td>
                <td class="number">${format.loss(first)}</td>
                <td class="number"><b>${format.loss(last)}</b></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
