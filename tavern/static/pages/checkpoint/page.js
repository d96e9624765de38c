// One checkpoint: what it is, why it is kept, what it learned, whether its files are whole, and what can be done with it.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CHANGES } from "../vault/changes.js";
import { Badges, CheckpointLink } from "../vault/links.js";
import { ActionsCard } from "./actions_card.js";
import { FilesCard } from "./files_card.js";
import { HealthCard } from "./health_card.js";
import { LineageCard } from "./lineage_card.js";
import { ComparisonCard, NumbersCard, ProtectionCard } from "./numbers_card.js";

const words = texts.checkpoint;
const NEWS = [...CHANGES, "checkpoint_rotten", "errand_failed"];

export function Page({ parameters }) {
  const path = `/checkpoint-data/${encodeURIComponent(parameters.step)}`;
  const facts = useResource(path, { on: NEWS });
  const told = facts.data;
  return html`
    <${Trail} told=${told} asked=${parameters.step} />
    ${(told === null || facts.error) && html`<${Waiting} resource=${facts} />`}
    ${told?.found === false && html`<${Missing} asked=${parameters.step} available=${told.available} />`}
    ${told?.found && html`<${Found} key=${told.address} told=${told} path=${path} />`}
  `;
}

function Found({ told, path }) {
  return html`
    <div class="columns vault">
      <div class="column">
        <${NumbersCard} told=${told} />
        <${LineageCard} path=${path} />
        <${FilesCard} physical=${told.physical} />
      </div>
      <div class="column">
        <${ActionsCard} told=${told} path=${path} />
        <${ProtectionCard} told=${told} />
        <${HealthCard} told=${told} path=${path} />
        <${ComparisonCard} told=${told} />
      </div>
    </div>
  `;
}

function Trail({ told, asked }) {
  const { previous = null, next = null, is_best: isBest } = told?.comparison ?? {};
  const kinds = [told?.is_head && "head", isBest && "best"].filter(Boolean);
  const step = told?.found ? format.count(told.step) : asked;
  return html`
    <div class="trail">
      <nav class="breadcrumb" aria-label=${words.where}>
        <ol>
          <li><a href="/vault">${texts.pages.vault}</a></li>
          <li><a href="/ledger">${texts.pages.ledger}</a></li>
          <li aria-current="page"><bdi>${words.step(step)}</bdi></li>
        </ol>
      </nav>
      <div class="trail-head">
        <h2 id="checkpoint-title">${told?.found ? words.title(step) : words.step(step)}<${Badges} kinds=${kinds} /></h2>
        <p class="neighbours">
          ${previous && html`<a href=${`/checkpoint/${previous.name}`} rel="prev">${words.previous(format.count(previous.step))}</a>`}
          ${next && html`<a href=${`/checkpoint/${next.name}`} rel="next">${words.next(format.count(next.step))}</a>`}
        </p>
      </div>
      ${told?.branch && html`<p class="quiet">${words.branch(told.branch)}</p>`}
    </div>
  `;
}

function Missing({ asked, available }) {
  const { count, oldest_step: first, latest_step: last, nearest } = available;
  const is = /^[0-9]+$/.test(asked) ? words.missing.there : words.missing.newest;
  return html`
    <section class="card missing" id="missing" aria-labelledby="missing-title">
      <h2 id="missing-title"><bdi>${words.missing.title(asked)}</bdi></h2>
      <p>${count === 0 ? words.missing.none : is(format.count(count), format.count(first), format.count(last))}</p>
      <ul>
        ${nearest.map(
          ({ name, step, train_loss: loss }) => html`
            <li key=${name}><${CheckpointLink} address=${name} step=${step} /> <span class="plain">${format.loss(loss)}</span></li>
          `,
        )}
      </ul>
      ${count > 0 && html`<p class="quiet">${words.missing.gone}</p>`}
    </section>
  `;
}
