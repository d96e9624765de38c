// What the pages of guild and skill share: the tile of a skill, the strain of its level, shares, verdicts.

import { html } from "../preact.js";
import * as format from "../format.js";
import { texts } from "../texts.js";

// One drawing for each category that a skill's file may name, 24 by 24.
const EMBLEMS = {
  reasoning: "M10 3.5a2 2 0 0 1 4 0V6h4a1 1 0 0 1 1 1v4h-2a2 2 0 0 0 0 4h2v4a1 1 0 0 1-1 1h-4v-2a2 2 0 0 0-4 0v2H6a1 1 0 0 1-1-1v-4h1a2 2 0 0 0 0-4H5V7a1 1 0 0 1 1-1h4z",
  math: "M5 6v5M4 7l1-1M9 8.5a2 2.5 0 1 0 4 0 2 2.5 0 1 0-4 0M17 6v5M16 7l1-1M4 16.5a2 2.5 0 1 0 4 0 2 2.5 0 1 0-4 0M12 14v5M11 15l1-1M16 16.5a2 2.5 0 1 0 4 0 2 2.5 0 1 0-4 0",
  compression: "M12 3v6M9 6l3 3 3-3M12 21v-6M9 18l3-3 3 3M4 12h16",
  generation: "M12 3l1.8 5.2L19 10l-5.2 1.8L12 17l-1.8-5.2L5 10l5.2-1.8zM19 16v4M17 18h4",
  classification: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  tool_use: "M14 6a4 4 0 0 1 5-2l-3 3 1 3 3 1a4 4 0 0 1-6 2l-7 7-3-3 7-7a4 4 0 0 1 3-4z",
  instruction: "M5 4h14v16H5zM8 8h8M8 12h8M8 16h5",
  code: "M9 7l-5 5 5 5M15 7l5 5-5 5M13 5l-2 14",
};

export const ZONES = ["recovery", "productive", "stretch", "overload"];

// The skill's colour is its file's: it is laid on by CSSOM, and the drawing stands on it.
export function SkillTile({ skill, size = "" }) {
  return html`
    <span class="skill-tile ${size}" style=${{ "--skill": skill.color }} aria-hidden="true">
      <svg viewBox="0 0 24 24"><path d=${EMBLEMS[skill.category] ?? EMBLEMS.generation} /></svg>
      <b>${skill.short_name}</b>
    </span>
  `;
}

// How hard the level is at present: four parts, the present one lit.
export function Strain({ zone, explained = false }) {
  const words = texts.guild;
  const name = zone ?? "unknown";
  return html`
    <div class="strain">
      <span class="strain-bar" aria-hidden="true">
        ${ZONES.map((each) => html`<i key=${each} data-zone=${each} data-now=${String(each === zone)}></i>`)}
      </span>
      <span class="strain-name" data-zone=${name} title=${words.zonesExplained[name]}>${words.zones[name]}</span>
      ${explained && html`<p class="quiet">${words.zonesExplained[name]}</p>`}
    </div>
  `;
}

// Right answers among those given, in whole percent; unknown is a dash.
export function share(part) {
  return format.known(part) ? `${Math.floor(100 * part + 1e-9)} %` : texts.unknown;
}

// Parts of a whole beside each other: `parts` is [[key, name, number], …]; what is nothing is left out.
export function Shares({ parts, label }) {
  const whole = parts.reduce((sum, [, , number]) => sum + number, 0);
  const shown = parts.filter(([, , number]) => number > 0);
  if (whole === 0) return null;
  return html`
    <div class="shares" role="group" aria-label=${label}>
      <div class="shares-bar" aria-hidden="true">
        ${shown.map(([key, , number], index) => html`<i key=${key} data-part=${key} data-place=${index % 4} style=${{ flexGrow: number }}></i>`)}
      </div>
      <ul class="shares-key">
        ${shown.map(
          ([key, name, number], index) => html`
            <li key=${key} data-part=${key} data-place=${index % 4}><bdi>${name}</bdi> <b>${share(number / whole)}</b></li>
          `,
        )}
      </ul>
    </div>
  `;
}
