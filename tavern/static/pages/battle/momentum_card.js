// Why nothing is happening, or less than could, and what to do about it.

import { html } from "../../preact.js";
import { useRealm } from "../../link/realm.js";
import { Breakable } from "../../parts/breakable.js";
import { isPage, PageLink } from "../../parts/page_link.js";
import { Card, Moment } from "../../parts/panels.js";
import { wish } from "../../parts/wish.js";
import { texts } from "../../texts.js";

// Where a remedy leads; those that are wishes are asked of the daemon.
const PLACES = { drop_file: "/quests", open_quests: "/quests", open_settings: "/settings" };
const WISHES = ["resume"];
const words = texts.momentum;

export function MomentumCard() {
  const momentum = useRealm(({ snapshot }) => snapshot?.momentum ?? null);
  const isHeard = useRealm(({ link }) => link === "open");
  if (momentum === null) return null;
  const aside = isHeard && html`<p class="moving" data-moving=${String(momentum.moving)}>${words[momentum.moving ? "moving" : "still"]}</p>`;
  const causes = isHeard ? momentum.causes : [];
  return html`
    <${Card} id="momentum" title=${words.title} className="momentum" aside=${aside}>
      ${!isHeard && html`<p class="quiet">${words.unheard}</p>`} ${isHeard && causes.length === 0 && html`<p class="quiet">${words.clear}</p>`}
      <ul class="causes" hidden=${causes.length === 0}>
        ${causes.map((cause) => html`<${Cause} key=${`${cause.kind} ${cause.message}`} ...${cause} />`)}
      </ul>
    <//>
  `;
}

function Cause({ weight, kind, message, since, until, remedies }) {
  return html`
    <li class="cause" data-weight=${weight} data-kind=${kind}>
      <span class="weight">${words.weights[weight]}</span>
      <div>
        <p><${Breakable} text=${message} /></p>
        ${
          (since || until) &&
          html`<p class="quiet">
            ${since && html`${words.since} <${Moment} at=${since} />`} ${until && html`${words.until} <${Moment} at=${until} />`}
          </p>`
        }
        ${remedies.map((remedy) => html`<${Remedy} key=${remedy.action} ...${remedy} />`)}
      </div>
    </li>
  `;
}

function Remedy({ action, command }) {
  const typed = command && html`<span class="typed">${words.type} <code>${command}</code></span>`;
  if (WISHES.includes(action)) {
    return html`<p class="remedy"><button type="button" onClick=${() => wish(action)}>${words[action]}</button>${typed}</p>`;
  }
  const hasPlace = Object.hasOwn(PLACES, action) && isPage(PLACES[action]);
  return html`<p class="remedy">${hasPlace && html`<${PageLink} to=${PLACES[action]}>${words[action]}<//>`}${typed}</p>`;
}
