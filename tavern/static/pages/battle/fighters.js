// Hero and enemy, and the numbers that fly off them.

import { html, useRef } from "../../preact.js";
import * as format from "../../format.js";
import { flies, foeOf, sizeOf, Sprite } from "../../parts/sprites.js";
import { texts } from "../../texts.js";

const words = texts.battle;
const FRAME_MS = { walk: 150, idle: 520, resting: 2600, hurt: 700, victorious: 320 };
const POSES = { learned: "victorious", mastered: "victorious", level: "victorious", wound: "hurt", fall: "hurt" };

export function Fighters({ scene, quest, struck, happening }) {
  const pose = scene.hero === null ? null : scene.hero === "idle" ? (POSES[happening?.kind] ?? "idle") : scene.hero;
  return html`
    <div class="fighters">
      <div class="fighter hero-side">
        ${scene.prop && html`<div class="prop ${scene.prop}"><${Sprite} name=${scene.prop} id="sprite-prop" /></div>`}
        ${struck.blows.map(
          ({ key, steps }) => steps > 0 && html`<p key=${key} class="float gained" aria-hidden="true">${words.gained(format.count(steps))}</p>`,
        )}
        ${
          pose &&
          html`<div class="body hero">
            <${Sprite}
              name="hero"
              id="sprite-hero"
              action=${pose}
              every=${FRAME_MS[pose]}
              isMoving=${scene.isMoving}
              intro=${pose === "idle" ? "strike" : null}
              turn=${struck.count}
            />
          </div>`
        }
      </div>
      <div class="fighter foe-side">
        ${struck.blows.map((blow) => html`<${Hit} key=${blow.key} ...${blow} />`)}
        <${Foe} scene=${scene} quest=${quest} count=${struck.count} happening=${happening} />
      </div>
    </div>
  `;
}

function Hit({ rows, isCritical, loss }) {
  return html`
    <p class="float hit ${isCritical ? "critical" : ""}" aria-hidden="true">
      ${words.hit(`−${format.count(rows)}`)} ${isCritical && html`<small>${words.critical(format.loss(loss))}</small>`}
    </p>
  `;
}

// The enemy that stands, and for a moment the one that fell. Without any, there is a fire to sit at.
function Foe({ scene, quest, count, happening }) {
  const seen = useRef({ standing: null, fallen: null });
  const foe = quest ? foeOf(quest.rows_total, quest.quest_id ?? "", quest.file ?? "") : null;
  const { current } = seen;
  if (current.standing && current.standing.id !== quest?.quest_id) current.fallen = current.standing;
  current.standing = quest ? { id: quest.quest_id, foe } : null;
  const hasFallen = happening?.kind === "learned" && current.fallen !== null && current.fallen.id === happening.event.data?.quest_id;
  // A key that changes makes the element anew, which starts its animation.
  return html`
    ${hasFallen && html`<div key="fallen-${happening.key}" class="body falling ${sizeOf(current.fallen.foe)}"><${Sprite} name=${current.fallen.foe} /></div>`}
    ${
      foe &&
      html`<div key="foe-${quest.quest_id}" class="body entering ${sizeOf(foe)} ${flies(foe) ? "flying" : ""}">
        <div key="struck-${count}" class=${count > 0 ? "flinching" : ""}>
          <${Sprite} name=${foe} id="sprite-foe" every=${620} isMoving=${scene.isMoving} />
        </div>
      </div>`
    }
    ${!foe && scene.place === "camp" && scene.hero !== null && html`<div key="fire" class="body fire"><${Sprite} name="campfire" id="sprite-foe" every=${230} isMoving=${scene.isMoving} /></div>`}
  `;
}
