// What the newest learned quests were made of.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Facts, Waiting } from "../../parts/panels.js";
import { Shares } from "../../parts/skills.js";
import { texts } from "../../texts.js";

const words = texts.guild.health;

export function HealthCard() {
  const health = useResource("/api/data-health", { on: ["quest_sealed", "trainer_ready"] });
  const { data } = health;
  return html`
    <${Card} id="data-health" title=${words.title}>
      <${Waiting} resource=${health} />
      ${data !== null && (data.quests === 0 ? html`<${Empty}>${words.none}<//>` : html`<${Mix} data=${data} />`)}
    <//>
  `;
}

function Mix({ data }) {
  const profiles = data.profiles.map(({ profile, rows }) => [profile, profile, rows]);
  return html`
    <p class="quiet">${words.newest(format.count(data.quests), format.count(data.rows))}</p>
    <h3>${words.profiles}</h3>
    ${profiles.length === 0 ? html`<p class="quiet">${texts.unknown}</p>` : html`<${Shares} parts=${profiles} label=${words.profiles} />`}
    <h3>${words.protocol}</h3>
    <${Protocol} protocol=${data.protocol} />
    <${Facts}
      pairs=${[
        [words.truncated, format.count(data.rows_truncated)],
        [words.lost, format.count(data.tokens_lost)],
        [words.remarks, format.count(data.quests_with_remarks)],
      ]}
    />
  `;
}

function Protocol({ protocol }) {
  if (protocol === null) return html`<p class="quiet" id="no-protocol">${words.noProtocol}</p>`;
  const parts = Object.entries(words.modes).map(([key, name]) => [key, name, protocol[key]]);
  return html`
    <${Shares} parts=${parts} label=${words.protocol} />
    <p class="quiet">${words.protocolOf(format.count(protocol.answers), format.count(protocol.quests))}</p>
  `;
}
