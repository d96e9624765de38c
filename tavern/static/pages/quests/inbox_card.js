// What lies in the inbox: on its way in, and what is not taken and why.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Card } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.quests.inbox;

// Nothing at all where nothing lies there: an empty inbox is the usual thing.
export function InboxCard({ inbox }) {
  if (inbox === null) return null;
  const { waiting, left_lying: left, named, blocked } = inbox;
  if (!waiting && !left && !blocked) return null;
  return html`
    <${Card} id="inbox" title=${words.title} className="inbox-card">
      ${blocked && html`<p class="bad"><bdi>${blocked}</bdi></p>`}
      ${waiting > 0 && html`<p id="inbox-coming">${words.coming(format.count(waiting), waiting === 1)}</p>`}
      ${
        left > 0 &&
        html`<p class="bad">${words.left(format.count(left), left === 1)}</p>
          <ul class="left-files">
            ${named.map(({ file, reason }) => html`<li key=${file}><bdi>${file}</bdi>: <bdi>${reason}</bdi></li>`)}
            ${left > named.length && html`<li key="">${words.more(format.count(left - named.length))}</li>`}
          </ul>`
      }
    <//>
  `;
}
