// One skill in short; the whole card leads to its page.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Facts, Meter } from "../../parts/panels.js";
import { SkillTile, Strain, share } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.guild;

export function SkillCard({ skill, isActive }) {
  const done = words.mastered(format.count(skill.mastered_level), format.count(skill.max_level));
  const isLearned = skill.weight !== null;
  return html`
    <li class="card skill-card ${isLearned ? "" : "is-idle"}" data-skill=${skill.id}>
      <div class="skill-head">
        <${SkillTile} skill=${skill} />
        <div>
          <h3><a class="cover" href="/skill/${encodeURIComponent(skill.id)}"><bdi>${skill.rpg_name}</bdi></a></h3>
          <p class="quiet"><bdi>${skill.name === skill.rpg_name ? skill.description : skill.name}</bdi></p>
        </div>
        ${isActive && html`<span class="badge">${words.active}</span>`}
      </div>
      <p class="flavour"><bdi>${skill.rpg_description}</bdi></p>
      <${Meter} className="mastery" value=${skill.mastered_level} most=${skill.max_level} label=${words.skills} text=${done} />
      <p class="mastery-text"><b>${done}</b></p>
      ${isLearned && html`<${Standing} skill=${skill} />`}
    </li>
  `;
}

function Standing({ skill }) {
  const { eval_count: taken, evals_needed: needed } = skill;
  const isDone = skill.mastered_level === skill.max_level;
  const pairs = [
    [words.training, isDone ? words.summit : words.trainingLevel(format.count(skill.training_level))],
    [words.accuracy, share(skill.accuracy)],
    [words.exams, taken < needed ? words.examsOf(format.count(taken), format.count(needed)) : format.count(taken)],
    [words.xp, format.count(skill.xp)],
  ];
  return html`
    <${Facts} pairs=${pairs} />
    <${Strain} zone=${skill.zone} />
  `;
}
