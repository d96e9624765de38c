// One achievement: its medal, what it is for, and when it was earned or how far it is.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Breakable } from "../../parts/breakable.js";
import { Meter, Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { Medal } from "./medal.js";

const words = texts.achievements;

export function Badge({ badge }) {
  const { name, title, condition, category, emblem, skill, progress, at, why } = badge;
  const isEarned = at !== null;
  return html`
    <li class="card badge-card" data-name=${name} data-earned=${String(isEarned)}>
      <${Medal} emblem=${emblem} category=${category} label=${skill === null ? null : skill.toUpperCase()} goal=${progress?.goal ?? null} isEarned=${isEarned} />
      <div>
        <h3><bdi>${title}</bdi></h3>
        ${condition !== null && html`<p class="condition"><bdi>${condition}</bdi></p>`}
        ${isEarned ? html`<${Earned} at=${at} why=${why} />` : html`<${Locked} progress=${progress} title=${title} />`}
      </div>
    </li>
  `;
}

function Earned({ at, why }) {
  return html`
    <p class="why clamped" title=${why}><${Breakable} text=${why} /></p>
    <p class="quiet">${words.since} <${Moment} at=${at} /></p>
  `;
}

function Locked({ progress, title }) {
  if (progress === null) return html`<p class="quiet">${words.locked}</p>`;
  const told = words.progress(format.count(progress.done), format.count(progress.goal));
  return html`
    <${Meter} className="mastery" value=${progress.done} most=${progress.goal} label=${title} text=${told} />
    <p class="quiet">${told}</p>
  `;
}
