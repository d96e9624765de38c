// The Inspector of one quest: what it is, what the model sees of it, what the file is made of, and what became of it.

import { html } from "../../../preact.js";
import { useResource } from "../../../link/resource.js";
import { Waiting } from "../../../parts/panels.js";
import { texts } from "../../../texts.js";
import { QUEST_EVENTS } from "../acting.js";
import { NumbersCard } from "./numbers.js";
import { RowsCard } from "./rows.js";
import { StoryCard } from "./story.js";
import { SummaryCard } from "./summary.js";
import { WorstCard } from "./worst.js";

const NOT_FOUND = 404;
const words = texts.quests.inspector;

export function Inspector({ quest }) {
  const path = `/api/quests/${encodeURIComponent(quest)}`;
  const story = useResource(path, { on: QUEST_EVENTS });
  const isGone = story.error?.status === NOT_FOUND;
  return html`
    <div class="inspector">
      <p class="back"><a href="/quests">← ${words.back}</a></p>
      ${isGone ? html`<p class="empty" role="alert">${words.gone}</p>` : html`<${Waiting} resource=${story} />`}
      ${story.data && !isGone && html`<${Found} story=${story.data} path=${path} />`}
    </div>
  `;
}

function Found({ story, path }) {
  return html`
    <div class="columns">
      <div class="column">
        <${SummaryCard} story=${story} path=${path} />
        <${RowsCard} path=${path} />
      </div>
      <div class="column">
        <${NumbersCard} path=${path} />
        <${WorstCard} path=${path} />
        <${StoryCard} story=${story} />
      </div>
    </div>
  `;
}
