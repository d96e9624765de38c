// What is over, newest first, with the loss before and after each quest.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Breakable } from "../../parts/breakable.js";
import { Card, Empty, Moment, Pager, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { QUEST_EVENTS, remove, retry } from "./acting.js";
import { inspectorOf, LossChange } from "./naming.js";

const PAGE = 20;
const ENDINGS = ["all", "completed", "failed", "skipped", "removed"];
const words = texts.quests.history;

export function History() {
  const [ending, setEnding] = useState("all");
  const [offset, setOffset] = useState(0);
  const filter = ending === "all" ? "" : `&ending=${ending}`;
  const resource = useKept(useResource(`/api/quests/history?limit=${PAGE}&offset=${offset}${filter}`, { on: QUEST_EVENTS }));
  const { data } = resource;
  const totals = data && { ...data.totals, all: Object.values(data.totals).reduce((sum, each) => sum + each, 0) };
  const choose = (chosen) => {
    setEnding(chosen);
    setOffset(0);
  };
  return html`
    <${Card} id="history" title=${words.title}>
      <div class="chips" role="group" aria-label=${words.filter}>
        ${ENDINGS.map(
          (each) => html`
            <button type="button" key=${each} aria-pressed=${String(each === ending)} onClick=${() => choose(each)}>
              ${words.endings[each]} ${totals && html`<span class="chip-count">${format.count(totals[each])}</span>`}
            </button>
          `,
        )}
      </div>
      <${Waiting} resource=${resource} />
      ${data && (data.quests.length === 0 ? html`<${Empty}>${totals.all === 0 ? words.none : words.noneLikeIt}<//>` : html`<${Entries} entries=${data.quests} />`)}
      ${data && html`<${Pager} offset=${offset} limit=${PAGE} total=${data.total} onMove=${setOffset} />`}
    <//>
  `;
}

function Entries({ entries }) {
  return html`
    <div class="table-frame">
      <table class="history-table">
        <thead>
          <tr>
            <th scope="col">${words.quest}</th>
            <th scope="col">${words.outcome}</th>
            <th scope="col" class="number">${words.rows}</th>
            <th scope="col">${words.loss}</th>
            <th scope="col">${words.ended}</th>
            <th scope="col"><span class="for-readers">${words.actions}</span></th>
          </tr>
        </thead>
        <tbody>
          ${entries.map((entry) => html`<${Entry} key=${`${entry.ending} ${entry.quest_id ?? ""} ${entry.file}`} entry=${entry} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Entry({ entry }) {
  const { quest, ending, file } = entry;
  const { loss_first: first, loss_last: last, rows_learned: rows } = quest ?? entry;
  const told = ending === "removed" ? null : (quest ?? entry).outcome;
  const outcome = told ?? (ending === "completed" ? "learned" : ending);
  return html`
    <tr data-ending=${ending}>
      <td data-label=${words.quest} class="history-name">
        ${quest === null ? html`<${Breakable} text=${file} />` : html`<a href=${inspectorOf(quest)}><${Breakable} text=${file} /></a>`}
        ${quest === null && ending !== "removed" && html`<p class="quiet clamped">${words.forgotten}</p>`}
        ${quest?.why && html`<p class="quiet clamped"><${Breakable} text=${quest.why.message} /></p>`}
      </td>
      <td data-label=${words.outcome}><span class="outcome" data-outcome=${outcome}>${words.outcomes[outcome] ?? outcome}</span></td>
      <td data-label=${words.rows} class="number">${format.count(rows)}</td>
      <td data-label=${words.loss}><${LossChange} first=${first} last=${last} /></td>
      <td data-label=${words.ended}><${Moment} at=${entry.ended_at} /></td>
      <td class="history-actions">${quest?.lane === "failed" && html`<${Actions} quest=${quest} />`}</td>
    </tr>
  `;
}

function Actions({ quest }) {
  return html`
    <button type="button" onClick=${() => retry(quest)}>${texts.quests.retry.action}</button>
    <button type="button" class="serious" onClick=${() => remove(quest)}>${texts.quests.remove.action}</button>
  `;
}
