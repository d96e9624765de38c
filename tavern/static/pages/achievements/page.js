// The wall of achievements: what is earned, when and by what, and how far the others are.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Empty, Meter, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { Badge } from "./badge.js";

const words = texts.achievements;
const NEWS = ["achievement", "level_mastered", "level_set", "examined", "quest_sealed", "trainer_ready"];
const CATEGORIES = ["battle", "endurance", "keeping", "skill"];
const FILTERS = { all: () => true, earned: ({ at }) => at !== null, locked: ({ at }) => at === null };

export function Page() {
  const wall = useResource("/api/achievements", { on: NEWS });
  const [filter, choose] = useState("all");
  const { data } = wall;
  const shown = data?.achievements.filter(FILTERS[filter]) ?? [];
  return html`
    <div class="achievements">
      <section class="card wall-head" aria-labelledby="wall-title">
        <h2 id="wall-title">${words.title}</h2>
        <p class="quiet">${words.lead}</p>
        <${Meter} className="mastery" value=${data?.earned} most=${data?.total} label=${words.earnedLabel} text=${told(data)} />
        <p class="mastery-text"><b id="earned">${told(data)}</b></p>
        <div class="chips" role="group" aria-label=${words.show}>
          ${Object.keys(FILTERS).map(
            (name) => html`
              <button key=${name} type="button" aria-pressed=${String(filter === name)} onClick=${() => choose(name)}>
                ${words.filters[name]}
              </button>
            `,
          )}
        </div>
      </section>
      <${Waiting} resource=${wall} />
      ${data !== null && shown.length === 0 && html`<${Empty}>${words.none}<//>`}
      ${CATEGORIES.map((category) => html`<${Category} key=${category} name=${category} badges=${shown.filter((badge) => badge.category === category)} />`)}
    </div>
  `;
}

function told(data) {
  return words.earned(format.count(data?.earned), format.count(data?.total));
}

function Category({ name, badges }) {
  if (badges.length === 0) return null;
  return html`
    <section class="wall" aria-labelledby="wall-${name}">
      <h2 id="wall-${name}" class="section-title">${words.categories[name]}</h2>
      <ul class="badges">
        ${badges.map((badge) => html`<${Badge} key=${badge.name} badge=${badge} />`)}
      </ul>
    </section>
  `;
}
