// The long errands: what runs now, and how the last ones ended.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Meter, Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { ERRAND_NEWS } from "./changes.js";
import { pathOf } from "./links.js";

const words = texts.vault.errands;

export function useErrands() {
  return useResource("/vault/errands", { on: ERRAND_NEWS });
}

export function ErrandsCard() {
  const { running = null, ended = [] } = useErrands().data ?? {};
  if (running === null && ended.length === 0) return null;
  return html`
    <${Card} id="errands" title=${words.title}>
      ${running && html`<${Running} errand=${running} />`}
      <ul class="errands">
        ${ended.map((errand) => html`<${Ended} key=${errand.id} errand=${errand} />`)}
      </ul>
    <//>
  `;
}

export function Running({ errand }) {
  const percent = format.percent(errand.done_bytes ?? 0, errand.total_bytes);
  const text = errand.total_bytes ? words.progress(percent) : "";
  return html`
    <div class="running-errand" role="status">
      <p>${words.running(words.kinds[errand.kind])}: <a href=${pathOf(errand.checkpoint)}>${errand.checkpoint}</a> ${text}</p>
      ${
        errand.kind === "verify" &&
        html`<${Meter} className="room" value=${errand.done_bytes ?? 0} most=${errand.total_bytes} label=${words.running(words.kinds.verify)} text=${text} />`
      }
    </div>
  `;
}

export function Ended({ errand }) {
  const isBad = errand.state === "failed" || (errand.result?.problems?.length ?? 0) > 0;
  return html`
    <li data-errand=${errand.kind} data-state=${errand.state}>
      <p class="plain">${words.kinds[errand.kind]}, ${errand.state === "failed" ? words.failed : words.done} <${Moment} at=${errand.ended_at} /></p>
      <p class=${isBad ? "bad" : ""}>${errand.text}</p>
    </li>
  `;
}
