// Who made the files that were judged, and how many of them the gates refused.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Waiting } from "../../parts/panels.js";
import { share } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.guild.lineage;
const NEWS = ["quest_accepted", "quest_rejected", "quest_sealed", "quest_refused"];

export function LineageCard() {
  const lineage = useResource("/api/lineage", { on: NEWS });
  const { data } = lineage;
  return html`
    <${Card} id="data-lineage" title=${words.title}>
      <${Waiting} resource=${lineage} />
      ${data !== null && (data.total_validations === 0 ? html`<${Empty}>${words.none}<//>` : html`<${Makers} data=${data} />`)}
    <//>
  `;
}

function Makers({ data }) {
  const { total_generators: makers, overall_fail_rate: rate } = data.summary;
  const generators = byFiles(data.generators);
  const validators = byFiles(data.validators);
  const counted = words.generators(format.count(makers), makers === 1);
  return html`
    <p class="quiet">${words.summary(format.count(data.total_validations), counted, share(rate))}</p>
    <${Table} title=${words.generator} entries=${generators} describe=${(name) => data.registry[name.split("@")[0]]?.description} />
    <details>
      <summary>${words.by}</summary>
      <${Table} title=${words.validator} entries=${validators} describe=${() => null} />
    </details>
  `;
}

function Table({ title, entries, describe }) {
  return html`
    <div class="table-frame">
      <table class="lineage">
        <thead>
          <tr>
            <th scope="col">${title}</th>
            <th scope="col" class="number">${words.files}</th>
            <th scope="col" class="number">${words.refused}</th>
          </tr>
        </thead>
        <tbody>
          ${entries.map(([name, entry]) => html`<${Row} key=${name} name=${name} entry=${entry} about=${describe(name)} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Row({ name, entry, about }) {
  const reason = entry.top_errors?.[0]?.message ?? null;
  return html`
    <tr>
      <td>
        <bdi>${name}</bdi>
        ${about && html`<span class="quiet block">${about}</span>`}
        ${reason && html`<span class="bad clamped" title=${reason}><bdi>${reason}</bdi></span>`}
      </td>
      <td class="number">${format.count(entry.total)}</td>
      <td class="number">${share(entry.fail_rate)}</td>
    </tr>
  `;
}

function byFiles(entries) {
  return Object.entries(entries).sort(([, one], [, other]) => other.total - one.total);
}
