// One examination, problem by problem: what was asked, what is right, and what the hero answered. Unknown is not wrong.

import { html, useLayoutEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.skill.exam;
const VERDICTS = ["right", "wrong", "unknown"];

export function Exam({ id, skill }) {
  const found = useResource(`/api/examinations/${encodeURIComponent(id)}`);
  const place = useRef();
  const { data } = found;
  // Later, who has scrolled on by himself would be called back.
  useLayoutEffect(() => {
    place.current?.scrollIntoView({ block: "start" });
  }, [data === null]);
  const close = html`<a href="/skill/${encodeURIComponent(skill)}">${words.close}</a>`;
  return html`
    <div ref=${place}>
      <${Card} id="exam" title=${html`<bdi>${words.title(id)}</bdi>`} aside=${close}>
        <${Waiting} resource=${found} />
        ${data !== null && html`<${Parts} parts=${data.parts} />`}
        ${data !== null && (data.answers.length > 0 ? html`<${Answers} answers=${data.answers} />` : html`<p class="quiet">${words.notKept}</p>`)}
      <//>
    </div>
  `;
}

function Parts({ parts }) {
  const { step, seconds } = parts[0];
  return html`
    <p class="quiet">${words.facts(format.count(step), lasted(seconds))}</p>
    <ul class="parts">
      ${parts.map((part) => {
        const unknown = part.total - part.answered;
        const score = words.score(format.count(part.correct), format.count(part.total), unknown ? format.count(unknown) : null);
        return html`<li key="${part.level}/${part.purpose}">
          <b>${words.part(format.count(part.level), words.purposes[part.purpose])}</b>: ${score}
        </li>`;
      })}
    </ul>
  `;
}

// Most take less than a second.
function lasted(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : format.duration(seconds);
}

function Answers({ answers }) {
  const [only, choose] = useState(null);
  const shown = only === null ? answers : answers.filter(({ verdict }) => verdict === only);
  const count = (verdict) => answers.filter((each) => each.verdict === verdict).length;
  const button = (verdict, label) => html`
    <button key=${label} type="button" aria-pressed=${String(only === verdict)} onClick=${() => choose(verdict)}>
      ${label}
    </button>
  `;
  return html`
    <div class="chips" role="group" aria-label=${words.filter}>
      ${button(null, words.all(format.count(answers.length)))}
      ${VERDICTS.filter(count).map((verdict) => button(verdict, words.only(words.verdicts[verdict], format.count(count(verdict)))))}
    </div>
    <ol class="answers" id="answers">
      ${shown.map((each) => html`<${Answer} key=${each.place} each=${each} />`)}
    </ol>
  `;
}

function Answer({ each: { level, purpose, prompt, expected, answer, verdict } }) {
  const given = answer === null ? words.noAnswer : answer === "" ? words.emptyAnswer : answer;
  return html`
    <li data-verdict=${verdict}>
      <p class="answer-head">
        <span class="answer-verdict">${words.verdicts[verdict]}</span> <span class="quiet">${words.part(format.count(level), words.purposes[purpose])}</span>
      </p>
      <dl>
        <div><dt>${words.problem}</dt><dd><bdi class="said">${prompt}</bdi></dd></div>
        <div><dt>${words.expected}</dt><dd><bdi class="said">${expected}</bdi></dd></div>
        <div><dt>${words.answer}</dt><dd class=${answer ? "" : "quiet"}><bdi class="said">${given}</bdi></dd></div>
      </dl>
    </li>
  `;
}
