// One skill: where the hero stands, every level, how he was examined, and what a person may decide.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Facts, Meter, Waiting } from "../../parts/panels.js";
import { SkillTile, Strain, share } from "../../parts/skills.js";
import { useAddress } from "../../router.js";
import { texts } from "../../texts.js";
import { Curve } from "./curve.js";
import { Decide } from "./decide.js";
import { Exam } from "./exam.js";
import { Exams } from "./exams.js";
import { Kept } from "./kept.js";
import { Ladder } from "./ladder.js";

const words = texts.skill;
const NEWS = ["examined", "level_mastered", "level_set", "rewound", "trainer_ready"];
const NOT_FOUND = 404;

export function Page({ parameters }) {
  const path = `/skill-data/${encodeURIComponent(parameters.id)}`;
  const skill = useResource(path, { on: NEWS });
  const exam = useAddress().searchParams.get("exam");
  const { data } = skill;
  if (data === null && skill.error?.status === NOT_FOUND) return html`<${Empty}>${words.missing} <a href="/guild">${words.back}</a><//>`;
  return html`
    <div class="skill-page">
      <p class="crumbs"><a href="/guild">← ${words.back}</a></p>
      <${Waiting} resource=${skill} />
      ${data !== null &&
      html`
        <div class="columns skill">
          <div class="column">
            <${Head} data=${data} />
            <${Ladder} data=${data} />
            ${exam !== null && html`<${Exam} key=${exam} id=${exam} skill=${data.id} />`}
            <${Exams} skill=${data.id} opened=${exam} />
          </div>
          <div class="column">
            <${Standing} data=${data} />
            <${Curve} history=${data.state.accuracy_history} threshold=${data.state.threshold} />
            <${Kept} parts=${data.again} levels=${data.levels} />
            <${Decide} data=${data} refresh=${skill.refresh} />
          </div>
        </div>
      `}
    </div>
  `;
}

function Head({ data: { config, state, is_active: isActive } }) {
  const tile = { ...config.display, category: config.category };
  const done = texts.guild.mastered(format.count(state.mastered_level), format.count(config.max_level));
  return html`
    <section class="card skill-top" aria-labelledby="skill-name">
      <${SkillTile} skill=${tile} size="large" />
      <div>
        <h2 id="skill-name"><bdi>${config.rpg_name}</bdi> ${isActive && html`<span class="badge">${words.active}</span>`}</h2>
        <p class="flavour"><bdi>${config.rpg_description}</bdi></p>
        <p class="quiet"><bdi>${config.description}</bdi></p>
        <${Meter} className="mastery" value=${state.mastered_level} most=${config.max_level} label=${words.mastered} text=${done} />
        <p class="mastery-text" id="mastered"><b>${done}</b></p>
      </div>
    </section>
  `;
}

function Standing({ data: { config, state } }) {
  const isDone = state.mastered_level === config.max_level;
  const { eval_count: taken, evals_needed: needed } = state;
  const here = taken < needed ? words.examsNeeded(format.count(taken), format.count(needed)) : format.count(taken);
  const source = config.source === "builtin" ? words.builtin : words.api(config.api.url);
  return html`
    <${Card} id="standing" title=${isDone ? texts.guild.summit : words.levelOf(format.count(state.training_level), format.count(config.max_level))}>
      <${Facts}
        pairs=${[
          [words.accuracy, share(state.accuracy), "accuracy"],
          [words.threshold, share(state.threshold)],
          [words.examsHere, here, "eval-count"],
          [words.allExams, format.count(state.total_evals)],
          [words.xp, format.count(state.xp)],
          [words.source, html`<bdi>${source}</bdi>`],
        ]}
      />
      <${Strain} zone=${state.zone} explained />
    <//>
  `;
}
