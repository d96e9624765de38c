// What became of a quest: what happened to it, why it was not let in, and which checkpoints hold it.

import { html } from "../../../preact.js";
import * as format from "../../../format.js";
import { Breakable } from "../../../parts/breakable.js";
import { Card, Empty, Moment } from "../../../parts/panels.js";
import { texts } from "../../../texts.js";
import { Findings } from "../findings.js";

const words = texts.quests.story;

export function StoryCard({ story: { record, rejection, events, checkpoints } }) {
  return html`
    <${Card} id="story" title=${words.title}>
      ${
        rejection &&
        html`<h3>${words.reasons}</h3>
          <${Findings} errors=${rejection.reasons} totalErrors=${rejection.total_reasons} warnings=${rejection.warnings} totalWarnings=${rejection.total_warnings} />`
      }
      ${events.length === 0 && html`<${Empty}>${words.none}<//>`}
      <ol class="story-events">
        ${[...events].reverse().map(({ id, at, message }) => html`<li key=${id}><${Moment} at=${at} /> <${Breakable} text=${message} /></li>`)}
      </ol>
      <${Strikes} strikes=${record?.strikes ?? []} />
      <${Checkpoints} checkpoints=${checkpoints} />
    <//>
  `;
}

function Strikes({ strikes }) {
  if (strikes.length === 0) return null;
  return html`
    <div>
      <h3>${words.strikes}</h3>
      <ul class="story-strikes">
        ${strikes.map((each) => html`<li key=${each.at}><bdi>${words.strike(format.time(each.at), format.count(each.quest_step), each.cause)}</bdi></li>`)}
      </ul>
    </div>
  `;
}

function Checkpoints({ checkpoints }) {
  if (checkpoints.length === 0) return null;
  return html`
    <div>
      <h3>${words.checkpoints}</h3>
      <ul class="story-checkpoints">
        ${checkpoints.map(
          (each) => html`<li key=${each.name}><a href="/checkpoint/${each.step}"><bdi>${each.name}</bdi></a> <span class="quiet">${each.holds_all ? words.all : words.part}</span></li>`,
        )}
      </ul>
    </div>
  `;
}
