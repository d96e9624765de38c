// One quest on the board. It is dragged from lane to lane, or moved by keys and buttons.

import { html, useLayoutEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useRealm } from "../../link/realm.js";
import { Breakable } from "../../parts/breakable.js";
import { Icon } from "../../parts/icons.js";
import { Meter } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { isRemovable, isWaiting, move, neighbour, remove } from "./acting.js";
import { Badge, bytes, clockIn, inspectorOf, roughly } from "./naming.js";

export const QUEST_TYPE = "application/x-realm-quest";
const BY_KEY = { ArrowLeft: -1, ArrowRight: 1 };
const words = texts.quests.card;
const names = texts.quests.lanes;

// Whoever moves a quest by keys goes on from where it lies then.
let toBeFocused = null;

export function QuestCard({ quest, told, onDrag }) {
  const { file, lane, why } = quest;
  const [isBusy, setBusy] = useState(false);
  const link = useRef();
  const key = quest.quest_id ?? file;
  const canMove = isWaiting(lane) && quest.quest_id !== null && why?.code !== "learning";
  useLayoutEffect(() => {
    if (toBeFocused !== key) return;
    toBeFocused = null;
    link.current.focus();
  }, []);

  const moveBy = async (by) => {
    const priority = neighbour(lane, by);
    if (!canMove || priority === null || isBusy) return;
    toBeFocused = key;
    setBusy(true);
    if (!(await move(quest, priority))) toBeFocused = null;
    setBusy(false);
  };
  const press = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in BY_KEY && canMove) {
      event.preventDefault();
      moveBy(BY_KEY[event.key]);
    } else if (event.key === "Delete" && isRemovable(lane)) {
      event.preventDefault();
      remove(quest);
    }
  };
  const drag = (event) => {
    event.dataTransfer.setData(QUEST_TYPE, key);
    event.dataTransfer.effectAllowed = "move";
    onDrag(quest);
  };
  return html`
    <li class="quest-card" data-quest=${key} data-why=${why?.code} draggable=${canMove} aria-busy=${isBusy ? "true" : null}
      onDragStart=${drag} onDragEnd=${() => onDrag(null)} onKeyDown=${press}>
      <a class="board-name clamped" ref=${link} title=${file} href=${inspectorOf(quest)} draggable=${false}><${Breakable} text=${file} /></a>
      <p class="quest-facts">
        <span>${words.rows(format.count(quest.rows), quest.rows === 1)}</span>
        <span>${bytes(quest.size_bytes)}</span>
        ${format.known(quest.tokens) && html`<span>${words.tokens(format.count(quest.tokens))}</span>`}
        ${quest.source !== "dropped" && html`<${Badge} kind=${quest.source}>${words.sources[quest.source]}<//>`}
        ${quest.strikes > 0 && html`<${Badge} kind="bad">${words.attempts(quest.strikes)}<//>`}
      </p>
      ${why && html`<p class="quest-why" data-code=${why.code}><bdi>${why.message}</bdi></p>`}
      ${lane === "processing" && html`<${Progress} id=${quest.quest_id} />`}
      <${Times} quest=${quest} told=${told} />
      ${
        isWaiting(lane) &&
        html`<p class="quest-buttons">
          <${Mover} quest=${quest} by=${-1} icon="raise" label=${words.raise} can=${canMove} onMove=${moveBy} />
          <${Mover} quest=${quest} by=${1} icon="lower" label=${words.lower} can=${canMove} onMove=${moveBy} />
          <button type="button" class="plain-button" aria-label=${words.remove(file)} title=${words.remove(file)} onClick=${() => remove(quest)}>
            <${Icon} name="close" />
          </button>
        </p>`
      }
    </li>
  `;
}

// Of the quest in battle, from the live stream.
function Progress({ id }) {
  const done = useRealm(({ snapshot }) => (snapshot?.quest?.quest_id === id ? snapshot.quest.rows_done : null));
  const total = useRealm(({ snapshot }) => (snapshot?.quest?.quest_id === id ? snapshot.quest.rows_total : null));
  const left = useRealm(({ snapshot }) => (snapshot?.quest?.quest_id === id ? snapshot.quest.eta_seconds : null));
  if (total === null) return null;
  const text = words.learned(format.count(done), format.count(total));
  return html`
    <${Meter} className="xp" value=${done} most=${total} label=${words.progress} text=${text} />
    <p class="quest-times">${[text, roughly(left) && words.left(roughly(left))].filter(Boolean).join(", ")}</p>
  `;
}

function Times({ quest, told }) {
  const begins = clockIn(told, quest.starts_in_seconds);
  const takes = roughly(quest.takes_seconds);
  if (begins === null && takes === null) return null;
  return html`<p class="quest-times">${[begins && words.begins(begins), takes && words.takes(takes)].filter(Boolean).join(", ")}</p>`;
}

function Mover({ quest, by, icon, label, can, onMove }) {
  const to = neighbour(quest.lane, by);
  if (to === null) return null;
  const told = label(quest.file, names[to]);
  return html`
    <button type="button" class="plain-button" disabled=${!can} aria-label=${told} title=${told} onClick=${() => onMove(by)}>
      <${Icon} name=${icon} />
    </button>
  `;
}
