// The ledger: every checkpoint with its numbers, sorted by whichever column one likes, the best of them marked.

import { html, useEffect, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Facts, Pager, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CHANGES } from "../vault/changes.js";
import { CheckpointLink } from "../vault/links.js";
import { COLUMNS, Table } from "./table.js";

const words = texts.ledger;
const LIMIT = 100;
const METRICS = ["train_loss", "val_loss", "perplexity", "accuracy"];

export function Page() {
  const [view, setView] = useView();
  const { sort, order, metric, skill, offset } = view;
  const query = new URLSearchParams({ limit: LIMIT, offset, sort, order, metric, ...(skill && { skill }) });
  const list = useKept(useResource(`/ledger/list?${query}`, { on: CHANGES }));
  const summary = useResource("/ledger/summary", { on: CHANGES });
  const choose = (column) =>
    setView({ ...view, offset: 0, sort: column, order: column === sort ? turned(order) : COLUMNS[column].first });
  const rows = list.data?.checkpoints ?? [];
  return html`
    <${Card} id="ledger" title=${words.title} aside=${html`<${Choices} view=${view} setView=${setView} skills=${summary.data?.skills_trained ?? []} />`}>
      <${Summary} told=${summary.data} />
      ${list.data && html`<${Best} list=${list.data} />`}
      <${Waiting} resource=${list} />
      ${list.data && list.data.total === 0 && html`<${Empty}>${skill ? words.noneOfSkill(skill) : words.none}<//>`}
      ${rows.length > 0 && html`<${Table} rows=${rows} view=${view} list=${list.data} isOld=${list.isOld} onSort=${choose} />`}
      <${Pager} offset=${offset} limit=${LIMIT} total=${list.data?.total} onMove=${(to) => setView({ ...view, offset: to })} />
    <//>
  `;
}

// What is looked at stands in the address, so that a link to it, and going back to it, show the same.
function useView() {
  const [view, setView] = useState(() => viewIn(new URLSearchParams(location.search)));
  useEffect(() => {
    const told = Object.entries(view).filter(([key, value]) => value !== DEFAULTS[key]);
    const query = new URLSearchParams(told).toString();
    history.replaceState(null, "", `${location.pathname}${query && `?${query}`}`);
  }, [view]);
  return [view, setView];
}

const DEFAULTS = { sort: "step", order: "desc", metric: "train_loss", skill: "", offset: 0 };

function viewIn(query) {
  const pick = (key, allowed) => (allowed.includes(query.get(key)) ? query.get(key) : DEFAULTS[key]);
  const offset = Number(query.get("offset"));
  return {
    sort: pick("sort", Object.keys(COLUMNS)),
    order: pick("order", ["asc", "desc"]),
    metric: pick("metric", METRICS),
    skill: query.get("skill") ?? "",
    offset: Number.isSafeInteger(offset) && offset > 0 ? offset : 0,
  };
}

function turned(order) {
  return order === "asc" ? "desc" : "asc";
}

function Choices({ view, setView, skills }) {
  const choose = (key) => (event) => setView({ ...view, offset: 0, [key]: event.target.value });
  return html`
    <div class="choices">
      <label>
        <span class="quiet">${words.bestBy}</span>
        <select id="metric" value=${view.metric} onChange=${choose("metric")}>
          ${METRICS.map((metric) => html`<option key=${metric} value=${metric}>${words.columns[metric]}</option>`)}
        </select>
      </label>
      ${
        (skills.length > 0 || view.skill) &&
        html`<label>
          <span class="quiet">${words.skill}</span>
          <select id="skill" value=${view.skill} onChange=${choose("skill")}>
            <option value="">${words.everySkill}</option>
            ${skills.map((skill) => html`<option key=${skill} value=${skill}>${skill}</option>`)}
          </select>
        </label>`
      }
    </div>
  `;
}

function Summary({ told }) {
  const known = told ?? {};
  const range = known.count ? words.range(format.count(known.oldest_step), format.count(known.latest_step)) : texts.unknown;
  return html`<${Facts}
    pairs=${[
      [words.summary.count, format.count(known.count), "ledger-count"],
      [words.summary.range, range],
      [words.summary.best, format.loss(known.best_loss)],
      [words.summary.worst, format.loss(known.worst_loss)],
      // The sum is of sizes that are known: without any it is no size.
      [words.summary.size, format.size(known.total_size_gb || (known.count === 0 ? 0 : null))],
      [words.summary.skills, known.skills_trained?.length ? known.skills_trained.join(", ") : words.noSkills],
    ]}
  />`;
}

// The best one may stand on another page of the table.
function Best({ list }) {
  const metric = words.columns[list.metric];
  if (list.total === 0) return null;
  if (list.best === null) return html`<p class="quiet best-line" id="best-line">${words.noBest(metric)}</p>`;
  const step = Number(list.best.split("-")[1]);
  return html`<p class="quiet best-line" id="best-line">${words.bestIs} <${CheckpointLink} address=${list.best} step=${step} /></p>`;
}
