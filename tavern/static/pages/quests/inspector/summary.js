// What a quest is and where it lies, with what can be done about it.

import { html, useState } from "../../../preact.js";
import * as format from "../../../format.js";
import { Breakable } from "../../../parts/breakable.js";
import { Card, Facts, Moment } from "../../../parts/panels.js";
import { texts } from "../../../texts.js";
import { isRemovable, isWaiting, move, neighbour, remove, retry } from "../acting.js";
import { Badge, bytes, clockIn, LossChange, roughly } from "../naming.js";

const words = texts.quests.inspector;
const { lanes, card } = texts.quests;

export function SummaryCard({ story: { timestamp, quest }, path }) {
  const title = html`<span id="quest-file"><${Breakable} text=${quest.file} /></span>`;
  const aside = html`<${Badge} kind=${quest.lane}><span id="quest-lane">${lanes[quest.lane]}</span><//>`;
  return html`
    <${Card} id="summary" title=${title} aside=${aside}>
      ${quest.why && html`<p class="quest-why" id="quest-why" data-code=${quest.why.code}><bdi>${quest.why.message}</bdi></p>`}
      <${Facts} pairs=${factsOf(quest, timestamp)} />
      <${Actions} quest=${quest} />
      <p class="quiet"><a href=${path}>${words.plain}</a></p>
    <//>
  `;
}

function factsOf(quest, told) {
  const isOver = quest.outcome !== null;
  return [
    [words.rows, format.count(quest.rows)],
    [words.size, bytes(quest.size_bytes)],
    [words.tokens, format.count(quest.tokens)],
    [words.epochs, format.count(quest.epochs)],
    [words.steps, format.count(quest.steps)],
    [words.source, html`<bdi>${quest.generator ?? card.sources[quest.source]}</bdi>`],
    [words.added, html`<${Moment} at=${quest.added_at} />`],
    isWaiting(quest.lane) && [words.begins, clockIn(told, quest.starts_in_seconds) ?? texts.unknown, "begins"],
    isWaiting(quest.lane) && [words.takes, roughly(quest.takes_seconds) ?? texts.unknown],
    isOver && [words.ended, html`<${Moment} at=${quest.finished_at} />`],
    isOver && [words.learned, format.count(quest.rows_learned), "rows-learned"],
    isOver && [words.loss, html`<${LossChange} first=${quest.loss_first} last=${quest.loss_last} />`, "loss-change"],
  ];
}

function Actions({ quest }) {
  const [isBusy, setBusy] = useState(false);
  const doing = (work) => async () => {
    setBusy(true);
    await work();
    setBusy(false);
  };
  const canMove = isWaiting(quest.lane) && quest.quest_id !== null && quest.why?.code !== "learning";
  const [higher, lower] = [neighbour(quest.lane, -1), neighbour(quest.lane, 1)];
  const button = (label, work, className = "") =>
    html`<button type="button" class=${className} disabled=${isBusy} onClick=${doing(work)}>${label}</button>`;
  return html`
    <div class="quest-actions">
      ${canMove && higher && button(words.raise(lanes[higher]), () => move(quest, higher))}
      ${canMove && lower && button(words.lower(lanes[lower]), () => move(quest, lower))}
      ${quest.lane === "failed" && button(words.retry, () => retry(quest))}
      ${isRemovable(quest.lane) && button(words.remove, () => remove(quest), "serious")}
    </div>
  `;
}
