// How many quests lie where, and what is left lying in the inbox.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useRealm } from "../../link/realm.js";
import { Breakable } from "../../parts/breakable.js";
import { Card } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const LANES = ["inbox", "high", "normal", "low", "processing", "awaiting_seal", "completed", "failed"];
const words = texts.board;

export function BoardCard() {
  const queue = useRealm(({ snapshot }) => snapshot?.queue ?? null);
  const inbox = useRealm(({ snapshot }) => snapshot?.inbox ?? null);
  const isBad = (lane) => lane === "failed" && queue?.failed > 0;
  return html`
    <${Card} id="board" title=${words.title} className="board">
      <dl class="lanes">
        ${LANES.map(
          (lane) => html`
            <div key=${lane}>
              <dt>${words[lane]}</dt>
              <dd id="lane-${lane}" class=${isBad(lane) ? "bad" : ""}>${format.count(queue?.[lane])}</dd>
            </div>
          `,
        )}
      </dl>
      <p class="blocked bad" id="blocked" hidden=${!inbox?.blocked}>${inbox?.blocked ?? ""}</p>
      <${LeftLying} inbox=${inbox} />
    <//>
  `;
}

// What is dropped and not taken lies there for ever unless somebody hears of it.
function LeftLying({ inbox }) {
  const { left_lying: count, named = [] } = inbox ?? {};
  const more = count > named.length ? count - named.length : 0;
  return html`
    <div class="left-lying" id="left-lying" hidden=${named.length === 0 && more === 0}>
      <p class="bad" id="left-title">${words.left(format.count(count), count === 1)}</p>
      <ul id="left">
        ${named.map(({ file, reason }) => html`<li key=${file}><${Breakable} text=${words.leftFile(file, reason)} /></li>`)}
        ${more > 0 && html`<li key="">${words.leftMore(format.count(more))}</li>`}
      </ul>
    </div>
  `;
}
