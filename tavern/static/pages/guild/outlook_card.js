// Which quests of the guild are on their way, and what the school waits for.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.guild.outlook;
const NEWS = [
  "quest_generated", "quest_accepted", "quest_started", "quest_learned", "quest_sealed", "examined", "level_set", "school_blocked",
  "school_goes_on", "trainer_ready",
];

export function OutlookCard() {
  const outlook = useResource("/api/curriculum/outlook", { on: NEWS });
  const { data } = outlook;
  return html`
    <${Card}
      id="outlook"
      title=${words.title}
      aside=${data && html`<span class="badge" id="school-state" data-state=${data.state}>${words.states[data.state]}</span>`}
    >
      <${Waiting} resource=${outlook} />
      ${data && html`<p class=${data.state === "halted" ? "bad" : "quiet"} id="school-reason"><bdi>${data.reason}</bdi></p>`}
      ${data && html`<${Coming} quests=${data.on_their_way} />`} ${data?.next && html`<p class="quiet">${nextText(data.next)}</p>`}
    <//>
  `;
}

function Coming({ quests }) {
  if (quests.length === 0) return html`<p class="none">${words.none}</p>`;
  return html`
    <ol class="coming">
      ${quests.map(
        (quest) => html`
          <li key=${quest.number}>
            <b>${words.quest(format.count(quest.number), quest.skill.toUpperCase(), format.count(quest.training_level))}</b>
            <span class="where" data-where=${quest.where}>${words.where[quest.where]}</span>
            <span class="quiet">${rowsText(quest)}</span>
          </li>
        `,
      )}
    </ol>
  `;
}

function rowsText({ rows, examination }) {
  if (examination === 0) return words.rowsOnly(format.count(rows));
  return words.rows(format.count(rows), format.count(examination));
}

function nextText({ number, skill, training_level: level }) {
  return words.next(format.count(number), skill.toUpperCase(), format.count(level));
}
