// The scene of what has just happened, over the stage. Whoever reads aloud hears it from the messages and the log.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Sprite } from "../../parts/sprites.js";
import { texts } from "../../texts.js";

const GOLD_PER_QUEST = 100;
const words = texts.battle.scenes;

export function Happening({ happening }) {
  if (happening === null) return null;
  const { kind, event, count, key } = happening;
  if (kind === "gold") {
    return html`<p key=${key} class="float earned" aria-hidden="true">
      <${Sprite} name="coin" className="coin" />${words.gold(format.count(count * GOLD_PER_QUEST))}
    </p>`;
  }
  if (kind === "checkpoint") {
    return html`<p key=${key} class="float kept" aria-hidden="true"><${Sprite} name="crystal" className="coin" />${words.checkpoint}</p>`;
  }
  const told = count > 1 && kind === "learned" ? words.several(format.count(count)) : event.message;
  return html`
    <div key=${key} class="happening ${kind}" aria-hidden="true">
      ${["level", "mastered"].includes(kind) && html`<div class="rays"></div>`}
      <p class="happening-title">${words[kind]}</p>
      <p class="happening-told clamped"><bdi>${told}</bdi></p>
    </div>
  `;
}
