// The lanes, side by side: what is fought, and what waits in which priority.

import { html, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { Card, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { isWaiting, move } from "./acting.js";
import { AddFiles, chooseLane } from "./file_drop.js";
import { QUEST_TYPE, QuestCard } from "./quest_card.js";

const COLUMNS = [["processing", "awaiting_seal"], ["high"], ["normal"], ["low"]];
const words = texts.quests.board;
const names = texts.quests.lanes;

export function Board({ resource, onMore }) {
  const { data } = resource;
  const dragged = useRef(null);
  const [isDragging, setDragging] = useState(false);
  const drag = (quest) => {
    // Known at once, as it may be let go at once; drawn a little later: drawn anew at once, Chromium would end the drag.
    dragged.current = quest;
    setTimeout(() => setDragging(dragged.current !== null), 0);
  };
  const waiting = data && ["high", "normal", "low"].reduce((sum, lane) => sum + data.lanes[lane].total, 0);
  return html`
    <${Card} id="quest-board" title=${words.title} className="quest-board" aside=${html`<${AddFiles} />`}>
      <p class="quiet board-line">
        ${data && html`<span id="waiting">${words.waiting(format.count(waiting), waiting === 1)}</span>`}
        ${data && html`<span>${format.known(data.tokens_per_second) ? words.speed(format.count(data.tokens_per_second)) : words.noSpeed}</span>`}
        <span class="keys">${words.hint}</span>
      </p>
      ${data?.held && html`<p class="held" id="held" role="status"><bdi>${words.held(data.held.message)}</bdi></p>`}
      <${Waiting} resource=${resource} />
      ${
        data &&
        html`<div class="lanes-of-quests" data-dragging=${isDragging}>
          ${COLUMNS.map(
            (lanes) => html`
              <div class="lane-column" key=${lanes[0]}>
                ${lanes.map(
                  (lane) => html`
                    <${Lane} key=${lane} lane=${lane} data=${data} onMore=${onMore} dragged=${dragged} onDrag=${drag} />
                  `,
                )}
              </div>
            `,
          )}
        </div>`
      }
    <//>
  `;
}

function Lane({ lane, data, onMore, dragged, onDrag }) {
  const { total, quests } = data.lanes[lane];
  const [isOver, setOver] = useState(false);
  const takes = isWaiting(lane);
  if (lane === "awaiting_seal" && total === 0) return null;
  const over = (event) => {
    if (!takes || (!event.dataTransfer.types.includes(QUEST_TYPE) && !event.dataTransfer.types.includes("Files"))) return;
    event.preventDefault();
    setOver(true);
    chooseLane(event.dataTransfer.types.includes("Files") ? lane : null);
  };
  const drop = (event) => {
    setOver(false);
    const quest = dragged.current;
    onDrag(null);
    if (!takes || quest === null || !event.dataTransfer.types.includes(QUEST_TYPE)) return; // files are taken by the page
    event.preventDefault();
    if (quest.lane !== lane) move(quest, lane);
  };
  const leave = (event) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setOver(false);
  };
  return html`
    <section
      class="lane"
      id="lane-of-${lane}"
      data-lane=${lane}
      data-over=${isOver && takes}
      aria-labelledby="lane-of-${lane}-title"
      onDragEnter=${over}
      onDragOver=${over}
      onDragLeave=${leave}
      onDrop=${drop}
    >
      <h3 id="lane-of-${lane}-title">${names[lane]} <span class="lane-count">${format.count(total)}</span></h3>
      <ol class="quest-list">
        ${quests.map(
          (quest) => html`<${QuestCard} key=${quest.quest_id ?? quest.file} quest=${quest} told=${data.timestamp} onDrag=${onDrag} />`,
        )}
      </ol>
      ${total === 0 && html`<p class="empty lane-empty">${takes ? words.empty : words.emptyBattle}</p>`}
      <${Rest} count=${total - quests.length} onMore=${onMore} />
    </section>
  `;
}

function Rest({ count, onMore }) {
  if (count <= 0) return null;
  if (onMore === null) return html`<p class="quiet more-quests">${words.rest(format.count(count))}</p>`;
  return html`<button type="button" class="more-quests" onClick=${onMore}>${words.more(format.count(count))}</button>`;
}
