// The checkpoints, newest first.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Moment, Pager, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CHANGES } from "./changes.js";
import { Badges, CheckpointLink } from "./links.js";

const words = texts.vault;
const LIMIT = 12;

export function CheckpointsCard() {
  const [offset, setOffset] = useState(0);
  const shelf = useKept(useResource(`/vault/assets?limit=${LIMIT}&offset=${offset}`, { on: CHANGES }));
  const rows = shelf.data?.checkpoints ?? [];
  return html`
    <${Card} id="checkpoints" title=${words.checkpoints} aside=${html`<a href="/ledger">${words.toLedger}</a>`}>
      <${Waiting} resource=${shelf} />
      ${shelf.data && rows.length === 0 && html`<${Empty}>${words.noCheckpoints}<//>`}
      ${rows.length > 0 && html`<${Table} rows=${rows} head=${shelf.data.head} />`}
      <${Pager} offset=${offset} limit=${LIMIT} total=${shelf.data?.checkpoint_count} onMove=${setOffset} />
    <//>
  `;
}

function Table({ rows, head }) {
  const { checkpoint, saved, loss, size } = words.columns;
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">${checkpoint}</th>
            <th scope="col" class="number">${loss}</th>
            <th scope="col">${saved}</th>
            <th scope="col" class="number">${size}</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map((row) => html`<${Row} key=${row.name} row=${row} isHead=${row.name === head} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Row({ row, isHead }) {
  const kinds = [isHead && "head", row.is_latest && !isHead && "latest", row.is_best && "best"].filter(Boolean);
  return html`
    <tr>
      <td class="wide"><${CheckpointLink} address=${row.name} step=${row.step} /><${Badges} kinds=${kinds} /></td>
      <td class="number">${format.loss(row.train_loss)}</td>
      <td class="moment"><${Moment} at=${row.created} /></td>
      <td class="number">${format.size(row.size_gb)}</td>
    </tr>
  `;
}
