// What stands above the fighters: who they are, and how much of the enemy is left.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Meter } from "../../parts/panels.js";
import { foeOf, pick, sizeOf } from "../../parts/sprites.js";
import { texts } from "../../texts.js";

const words = texts.battle;

export function HeadUp({ hero, quest }) {
  const left = quest && format.known(quest.rows_total - quest.rows_done) ? quest.rows_total - quest.rows_done : null;
  const rowsLeft = quest ? words.rowsLeft(format.count(left)) : "";
  return html`
    <div class="head-up">
      <p class="plate" hidden=${!hero}><bdi id="plate-hero">${hero && words.hero(hero.name, format.count(hero.level))}</bdi></p>
      ${
        quest &&
        html`
          <div class="foe-plate">
            <p class="plate" id="plate-foe" title=${words.foeIs(quest.file)}><bdi>${nameOf(quest)}</bdi></p>
            <${Meter} id="health" className="health" value=${left} most=${quest.rows_total} label=${words.health} text=${rowsLeft} />
            <p class="rows-left" id="rows-left">${rowsLeft}</p>
          </div>
        `
      }
    </div>
  `;
}

// The enemy of a quest has a name of its own, and always the same.
export function nameOf(quest) {
  const foe = foeOf(quest.rows_total, quest.quest_id ?? "", quest.file ?? "");
  return texts.foes.name(pick(texts.foes.manners[sizeOf(foe)], `${quest.quest_id}'`), texts.foes[foe]);
}
