// The table of the ledger. Every column sorts: by click or key on its heading, told to readers by `aria-sort`.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { Badges, CheckpointLink } from "../vault/links.js";

const words = texts.ledger;
const yesOrNo = (value) => (value ? words.yes : words.no);
const text = (value) => (value === null || value === undefined ? texts.unknown : html`<bdi>${value}</bdi>`);

// `first` is the order in which a column is sorted first: what one looks for stands on top.
export const COLUMNS = {
  step: { first: "desc" },
  train_loss: { first: "asc", draw: (row) => format.loss(row.train_loss), className: "number" },
  val_loss: { first: "asc", draw: (row) => format.loss(row.val_loss), className: "number" },
  perplexity: { first: "asc", draw: (row) => format.loss(row.perplexity), className: "number" },
  accuracy: { first: "desc", draw: (row) => format.percent(row.accuracy, 1), className: "number" },
  timestamp: { first: "desc", draw: (row) => html`<${Moment} at=${row.timestamp} />`, className: "moment" },
  learning_rate: { first: "desc", draw: (row) => format.rate(row.learning_rate), className: "number" },
  skill_name: { first: "asc", draw: (row) => text(skillOf(row)) },
  training_file: { first: "asc", draw: (row) => html`<span title=${row.training_file}>${text(row.training_file)}</span>`, className: "wide" },
  total_examples_trained: { first: "desc", draw: (row) => format.count(row.total_examples_trained), className: "number" },
  size_bytes: { first: "desc", draw: (row) => format.size(row.size_gb), className: "number" },
  has_optimizer: { first: "desc", draw: (row) => yesOrNo(row.has_optimizer) },
  milestone: { first: "desc", draw: (row) => yesOrNo(row.milestone) },
  epoch: { first: "desc", draw: (row) => format.rate(row.epoch), className: "number" },
  canonical_name: { first: "desc", draw: (row) => html`<code>${row.canonical_name}</code>` },
};

function skillOf({ skill_name: name, skill_level: level }) {
  return name && level !== null ? texts.checkpoint.stats.skillLevel(name, level) : name;
}

export function Table({ rows, view, list, isOld, onSort }) {
  const { sort, order } = view;
  return html`
    <div class="table-frame" tabindex="0" role="region" aria-labelledby="ledger-caption" aria-busy=${String(isOld)}>
      <table class="ledger-table">
        <caption id="ledger-caption" class="quiet">${words.caption(words.columns[sort], order)}</caption>
        <thead>
          <tr>
            ${Object.entries(COLUMNS).map(([name, { className }]) => html`<${Heading} key=${name} ...${{ name, sort, order, className, onSort }} />`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map((row) => html`<${Row} key=${row.canonical_name} row=${row} list=${list} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Heading({ name, sort, order, className, onSort }) {
  const isChosen = name === sort;
  const direction = order === "asc" ? "ascending" : "descending";
  return html`
    <th scope="col" class=${className} aria-sort=${isChosen ? direction : "none"} data-column=${name}>
      <button type="button" onClick=${() => onSort(name)}>
        ${words.columns[name]}<span class="arrow" aria-hidden="true">${isChosen ? (order === "asc" ? "▲" : "▼") : "▲"}</span>
      </button>
    </th>
  `;
}

function Row({ row, list }) {
  const name = row.canonical_name;
  const kinds = [name === list.head && "head", name === list.best && "best"].filter(Boolean);
  const { step, ...others } = COLUMNS;
  return html`
    <tr data-checkpoint=${name} class=${name === list.best ? "is-best" : ""}>
      <th scope="row" class="step-cell">
        <${CheckpointLink} address=${name} step=${row.step} /><${Badges} kinds=${kinds} metric=${words.columns[list.metric]} />
      </th>
      ${Object.entries(others).map(([column, { draw, className }]) => html`<td key=${column} class=${className}>${draw(row)}</td>`)}
    </tr>
  `;
}
