// What the hero began with, and the checkpoints that one looks for first.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Card, Facts, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CheckpointLink } from "./links.js";

const words = texts.vault;

export function BaseCard({ shelf }) {
  const base = shelf.data?.base_model ?? null;
  const pairs = base && [
    [words.base.name, html`<bdi>${base.name}</bdi>`, "base-name"],
    base.path && [words.base.size, format.size(base.size_gb)],
    [words.base.state, base.locked ? words.base.locked : words.base.free],
    [words.base.path, base.path ? html`<code>${base.path}</code>` : words.base.madeHere],
  ];
  return html`
    <${Card} id="base-model" title=${words.base.title}>
      <${Waiting} resource=${shelf} />
      ${shelf.data && base === null && html`<p class="quiet">${words.base.none}</p>`}
      ${base && html`<${Facts} pairs=${pairs} className="facts pairs" />`}
    <//>
  `;
}

export function LandmarksCard({ shelf }) {
  const { latest = null, best = null, checkpoint_count: count, total_size_gb: size } = shelf.data ?? {};
  return html`
    <${Card} id="landmarks" title=${words.marks.title}>
      <${Facts}
        className="facts pairs"
        pairs=${[
          [words.marks.newest, html`<${Mark} row=${latest} />`, "newest-mark"],
          [words.marks.best, html`<${Mark} row=${best} />`, "best-mark"],
          [words.marks.count, format.count(count), "kept-count"],
          [words.marks.total, format.size(size), "kept-size"],
        ]}
      />
    <//>
  `;
}

function Mark({ row }) {
  if (row === null) return texts.unknown;
  return html`<${CheckpointLink} address=${row.name} step=${row.step} /><span class="plain loss-beside">${format.loss(row.train_loss)}</span>`;
}
