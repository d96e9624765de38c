// Whether the files of a checkpoint are as they were saved, and reading them again.

import { html } from "../../preact.js";
import { Card, Facts, Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { Ended, Running, useErrands } from "../vault/errands.js";
import { begin } from "./wishes.js";

const words = texts.checkpoint.verification;

export function HealthCard({ told, path }) {
  const errands = useErrands();
  const { running = null, ended = [] } = errands.data ?? {};
  const isMine = running?.kind === "verify" && running.checkpoint === told.address;
  const last = ended.find(({ kind, checkpoint }) => kind === "verify" && checkpoint === told.address);
  const health = told.verification;
  return html`
    <${Card} id="health" title=${words.title}>
      ${health === null ? html`<p class="quiet">${words.branch}</p>` : html`<${Known} health=${health} />`}
      ${isMine && html`<${Running} errand=${running} />`}
      ${!isMine && last && html`<ul class="errands" id="last-verify"><${Ended} errand=${last} /></ul>`}
      <button
        type="button"
        class="small"
        id="verify"
        disabled=${running !== null}
        onClick=${() => begin(`${path}/verify`, {}).then(errands.refresh)}
      >
        ${words.button}
      </button>
    <//>
  `;
}

function Known({ health }) {
  const verified = health.verified_at;
  return html`
    <${Facts}
      className="facts pairs"
      pairs=${[
        [words.saved, html`<${Moment} at=${health.saved_at} />`],
        [words.good, verified ? html`<${Moment} at=${verified} />` : words.never, "verified-at"],
      ]}
    />
    ${health.problems.length > 0 && html`<p class="bad" role="alert">${words.bad} ${health.problems.join("; ")}</p>`}
    ${health.is_read_now && html`<p class="quiet">${words.readNow}</p>`}
  `;
}
