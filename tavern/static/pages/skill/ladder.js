// Every level as a step of a ladder; one is open, with what is asked for and what came of it.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Facts, Moment, Waiting } from "../../parts/panels.js";
import { share } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.skill.ladder;
const LEGEND = ["mastered", "forgotten", "training", "locked"];

export function Ladder({ data }) {
  const [chosen, choose] = useState(null);
  const open = chosen ?? data.state.training_level;
  const level = data.levels.find((each) => each.level === open) ?? data.levels[0];
  return html`
    <${Card} id="ladder" title=${words.title} aside=${html`<${Legend} levels=${data.levels} />`}>
      <ol class="rungs" aria-label=${words.label}>
        ${data.levels.map((rung) => html`<${Rung} key=${rung.level} rung=${rung} isOpen=${rung.level === level.level} choose=${choose} />`)}
      </ol>
      <${Open} key=${level.level} level=${level} data=${data} />
    <//>
  `;
}

function stateOf({ state, forgotten }) {
  return forgotten ? "forgotten" : state;
}

function Legend({ levels }) {
  const present = new Set(levels.map(stateOf));
  return html`
    <ul class="rung-legend">
      ${LEGEND.filter((state) => present.has(state)).map((state) => html`<li key=${state} data-state=${state}>${words.legend[state]}</li>`)}
    </ul>
  `;
}

function Rung({ rung, isOpen, choose }) {
  const state = words.legend[stateOf(rung)];
  const level = format.count(rung.level);
  const label = rung.accuracy === null ? words.cell(level, state) : words.cellKnown(level, state, share(rung.accuracy));
  return html`
    <li>
      <button
        type="button"
        class="rung"
        data-state=${stateOf(rung)}
        aria-label=${label}
        aria-pressed=${String(isOpen)}
        title=${label}
        onClick=${() => choose(rung.level)}
      >
        ${level}
      </button>
    </li>
  `;
}

function Open({ level, data }) {
  const isTraining = level.state === "training";
  const known = level.accuracy === null ? (level.state === "mastered" ? words.noAccuracy : words.neverExamined) : share(level.accuracy);
  const mastered = level.mastered_at && html`<${Moment} at=${level.mastered_at} /> ${words.causes[level.cause]}`;
  return html`
    <div class="rung-open" id="level-open" data-state=${level.state}>
      <h3>${texts.skill.level(format.count(level.level))} <span class="badge">${words.legend[stateOf(level)]}</span></h3>
      <${Facts}
        pairs=${[
          [texts.skill.threshold, share(level.threshold)],
          level.state !== "locked" && [texts.skill.accuracy, known],
          mastered && [words.masteredAt, mastered],
        ]}
      />
      ${level.forgotten && html`<p class="bad">${words.forgotten}</p>`} ${isTraining && html`<${Progress} level=${level} data=${data} />`}
      ${level.state === "locked" && html`<p class="quiet">${words.locked}</p>`} <${About} about=${level.about} />
      <${HeldOut} skill=${data.id} level=${level.level} hasThem=${data.config.source === "builtin"} />
    </div>
  `;
}

// The examinations at the level so far, as bars against the threshold: the last few of them decide.
function Progress({ level, data: { state } }) {
  const passes = state.accuracy_history.filter(({ training_level: at }) => at === level.level).slice(-state.eval_count || Infinity);
  const shown = state.eval_count === 0 ? [] : passes.slice(-12);
  const missing = Math.max(0, state.evals_needed - state.eval_count);
  return html`
    <div class="progress">
      <p class="quiet">${words.progress(format.count(state.evals_needed), share(level.threshold))}</p>
      ${shown.length > 0 &&
      html`
        <ol class="passes" style=${{ "--threshold": level.threshold, "--count": shown.length }}>
          ${shown.map(({ exam_id: id, accuracy }, index) => {
            const decides = index >= shown.length - state.evals_needed;
            const told = words.pass(id, share(accuracy));
            return html`<li key=${id} title=${told} data-decides=${String(decides)}>
              <i style=${{ blockSize: `${100 * (accuracy ?? 0)}%` }} data-reaches=${String(accuracy >= level.threshold)}></i>
              <span class="hidden">${told}</span>
            </li>`;
          })}
        </ol>
      `}
      ${missing > 0 && html`<p class="quiet">${words.stillNeeded(format.count(missing), missing === 1)}</p>`}
    </div>
  `;
}

function About({ about }) {
  if (about === null) return null;
  const pairs = Object.entries(about).map(([name, value]) => [
    name.replaceAll("_", " "),
    html`<bdi>${Array.isArray(value) ? value.map(plain).join(", ") : plain(value)}</bdi>`,
  ]);
  return html`
    <div>
      <h4>${words.about}</h4>
      <${Facts} pairs=${pairs} />
    </div>
  `;
}

function plain(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value).replaceAll("_", " ");
}

function HeldOut({ skill, level, hasThem }) {
  const [isShown, show] = useState(false);
  const path = `/api/validation/${encodeURIComponent(skill)}/${level}`;
  const found = useResource(isShown ? path : null);
  if (!hasThem) return null;
  const problems = found.data?.problems ?? null;
  return html`
    <div class="held-out">
      <p>
        <button type="button" class="plain-button" aria-expanded=${String(isShown)} onClick=${() => show(!isShown)}>
          ${isShown ? words.hideProblems : words.showProblems}
        </button>
      </p>
      ${isShown && html`<p class="quiet">${words.problemsHint}</p>`} <${Waiting} resource=${found} />
      ${problems !== null && problems.length === 0 && html`<p class="quiet">${words.noProblems}</p>`}
      ${problems !== null && problems.length > 0 && html`<${Problems} problems=${problems} />`}
    </div>
  `;
}

function Problems({ problems }) {
  return html`
    <div class="table-frame">
      <table id="held-out" aria-label=${words.problems}>
        <thead>
          <tr>
            <th scope="col">${words.prompt}</th>
            <th scope="col">${words.answer}</th>
          </tr>
        </thead>
        <tbody>
          ${problems.map(
            ({ prompt, answer }) => html`
              <tr key=${prompt}>
                <td><bdi class="said">${prompt}</bdi></td>
                <td><bdi class="said">${answer}</bdi></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
