// The guild: every skill, how the hero was examined last, what comes next, and what the data are like.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Empty, Facts, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { HealthCard } from "./health_card.js";
import { LastExaminations } from "./last_card.js";
import { LineageCard } from "./lineage_card.js";
import { OutlookCard } from "./outlook_card.js";
import { SkillCard } from "./skill_card.js";

const words = texts.guild;
const NEWS = ["examined", "level_mastered", "level_set", "quest_generated", "trainer_ready"];

export function Page() {
  const skills = useResource("/skills", { on: NEWS });
  const { data } = skills;
  const learned = data?.skills.filter(({ weight }) => weight !== null) ?? [];
  const others = data?.skills.filter(({ weight }) => weight === null) ?? [];
  return html`
    <div class="columns guild">
      <div class="column">
        <${Head} data=${data} learned=${learned} />
        <${Waiting} resource=${skills} />
        ${data?.broken.map(({ file, problem }) => html`<p key=${file} class="bad broken"><bdi>${words.broken(file, problem)}</bdi></p>`)}
        ${data !== null && data.skills.length === 0 && html`<${Empty}>${words.none}<//>`}
        <${Skills} title=${words.skills} id="skills" skills=${learned} active=${data?.active_skill} />
        <${Skills} title=${words.others} id="other-skills" skills=${others} hint=${words.othersHint} />
        <${LastExaminations} />
      </div>
      <div class="column">
        <${OutlookCard} />
        <${HealthCard} />
        <${LineageCard} />
      </div>
    </div>
  `;
}

function Head({ data, learned }) {
  const active = learned.find(({ id }) => id === data?.active_skill);
  return html`
    <section class="card guild-head" aria-labelledby="guild-title">
      <div class="total">
        <strong id="total-level">${format.count(data?.total_mastered)}</strong>
        <span title=${words.totalExplained}>${words.total}</span>
      </div>
      <div>
        <h2 id="guild-title">${words.title}</h2>
        <p class="quiet">${words.lead}</p>
        <${Facts}
          pairs=${[
            [words.learned, format.count(data ? learned.length : null), "skills-learned"],
            [words.next, active ? active.rpg_name : texts.unknown, "active-skill"],
          ]}
        />
      </div>
    </section>
  `;
}

function Skills({ title, id, skills, active, hint }) {
  if (skills.length === 0) return null;
  return html`
    <section aria-labelledby="${id}-title">
      <h2 id="${id}-title" class="section-title">${title}</h2>
      ${hint && html`<p class="quiet">${hint}</p>`}
      <ul class="skill-cards" id=${id}>
        ${skills.map((skill) => html`<${SkillCard} key=${skill.id} skill=${skill} isActive=${skill.id === active} />`)}
      </ul>
    </section>
  `;
}
