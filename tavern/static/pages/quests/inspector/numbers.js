// What a file is made of: its shape, how long its rows are, what the cut takes, what stands in it twice.

import { html, useState } from "../../../preact.js";
import * as format from "../../../format.js";
import { useResource } from "../../../link/resource.js";
import { Card, Facts, Waiting } from "../../../parts/panels.js";
import { texts } from "../../../texts.js";
import { Findings } from "../findings.js";
import { Histogram } from "./histogram.js";

const LONGEST_MS = 10 * 60_000;
const words = texts.quests.numbers;

export function NumbersCard({ path }) {
  const [whole, setWhole] = useState(false);
  const resource = useResource(`${path}/numbers?whole=${whole}`, { timeout: LONGEST_MS });
  const { data, asking } = resource;
  const isPart = data?.tokens?.looked_at.startsWith("the first") ?? false;
  return html`
    <${Card} id="numbers" title=${words.title}>
      ${data === null && asking ? html`<p class="quiet told" role="status">${words.counting}</p>` : html`<${Waiting} resource=${resource} />`}
      ${data && html`<${Numbers} data=${data} />`}
      ${isPart && html`<button type="button" disabled=${asking} onClick=${() => setWhole(true)}>${words.whole}</button>`}
    <//>
  `;
}

function Numbers({ data }) {
  const { tokens, near_duplicates: near } = data;
  const pairs = [
    [words.median, format.count(tokens?.length.median)],
    [words.longest, format.count(tokens?.longest)],
    [words.trained, format.count(tokens?.trained.median)],
    [words.truncated, format.count(tokens?.rows_truncated), "rows-truncated"],
    [words.tokensLost, format.count(tokens?.tokens_lost)],
    [words.duplicates, format.count(data.duplicates), "duplicates"],
    near && [words.near, format.count(near.like_earlier_quests)],
    near && [words.heldOut, format.count(near.like_held_out_rows)],
    data.broken_rows > 0 && [words.broken, html`<span class="bad">${format.count(data.broken_rows)}</span>`],
  ];
  return html`
    <p class="shape" id="shape"><bdi>${data.format ? words.shape(data.format, data.recognised_by) : words.noShape}</bdi></p>
    ${data.histogram && html`<${Histogram} histogram=${data.histogram} />`}
    <${Facts} pairs=${pairs} />
    ${tokens && html`<p class="quiet looked-at">${words.lookedAt}: ${tokens.looked_at}</p>`}
    <${Findings} errors=${data.errors} totalErrors=${data.total_errors} warnings=${data.warnings} totalWarnings=${data.total_warnings} />
  `;
}
