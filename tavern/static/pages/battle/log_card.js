// The last things that happened, newest first.

import { html } from "../../preact.js";
import { useRealm } from "../../link/realm.js";
import { noticeOf } from "../../notices.js";
import { Breakable } from "../../parts/breakable.js";
import { isPage, PageLink } from "../../parts/page_link.js";
import { Card, Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const LOG = "/battle-log";
// What is marked beside that of which people are told wherever they are.
const TONES = { quest_learned: "quest", hero_level_up: "level", checkpoint_saved: "kept", quest_started: "battle" };

export function LogCard() {
  const events = useRealm(({ snapshot }) => snapshot?.events ?? null);
  const shown = [...(events ?? [])].reverse();
  return html`
    <${Card} id="log-card" title=${texts.log.title} className="log" aside=${isPage(LOG) && html`<${PageLink} to=${LOG}>${texts.log.all}<//>`}>
      <ol id="log" tabindex="0" aria-labelledby="log-card-title">
        ${shown.map(
          ({ id, at, kind, message }) => html`<li key=${id} data-kind=${kind} data-tone=${toneOf(kind)}><${Moment} at=${at} /><${Breakable} text=${message} /></li>`,
        )}
        ${shown.length === 0 && html`<li key="none">${texts.log.none}</li>`}
      </ol>
    <//>
  `;
}

function toneOf(kind) {
  return noticeOf({ kind }) ?? (Object.hasOwn(TONES, kind) ? TONES[kind] : "plain");
}
