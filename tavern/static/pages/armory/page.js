// The Armory: every setting of the realm, what it means and where it comes from, changed with a look at the diff.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { useDraft } from "./draft.js";
import { HistoryCard } from "./history_card.js";
import { MemoryCard } from "./memory_card.js";
import { Ravens } from "./ravens.js";
import { ReviewBar } from "./review.js";
import { Setting } from "./setting.js";
import { explained, sectionTitle } from "./values.js";

const EVENTS = ["settings_changed", "settings_invalid", "hero_changed", "trainer_ready"];

export function Page() {
  const resource = useResource("/config", { on: EVENTS });
  const config = resource.data;
  const draft = useDraft(config);
  const [search, setSearch] = useState("");
  const [onlySet, setOnlySet] = useState(false);
  const [section, setSection] = useState("hyperparams");

  if (config === null) return html`<${Waiting} resource=${resource} />`;
  const isFiltered = search.trim() !== "" || onlySet;
  const shown = isFiltered ? filtered(config.sections, search, onlySet, draft) : config.sections.filter(({ name }) => name === section);
  return html`
    <p class="quiet armory-lead"><bdi>${texts.armory.lead(config.file)}</bdi></p>
    ${resource.error !== null && html`<${Waiting} resource=${resource} />`}
    ${config.problems.length > 0 && html`<${Problems} problems=${config.problems} />`}
    <${ReviewBar}
      draft=${draft}
      search=${search}
      onSearch=${setSearch}
      onlySet=${onlySet}
      onOnlySet=${setOnlySet}
      onSaved=${resource.refresh}
    />
    <div class="armory">
      <${Sections} sections=${config.sections} draft=${draft} chosen=${isFiltered ? null : section} onChoose=${(name) => {
        setSearch("");
        setOnlySet(false);
        setSection(name);
      }} />
      <div class="column">
        ${isFiltered && html`<${Found} sections=${shown} />`}
        ${shown.map(
          (each) => html`
            <${Card} key=${each.name} id="section-${each.name || "top"}" title=${sectionTitle(each.name)}>
              ${each.help && html`<p class="quiet section-help">${explained(each.help)}</p>`}
              <ul class="settings">
                ${each.settings.map((setting) => html`<${Setting} key=${setting.name} setting=${setting} draft=${draft} effects=${config.effects} />`)}
              </ul>
              ${each.name === "notifications" && !isFiltered && html`<${Ravens} />`}
            <//>
          `,
        )}
      </div>
      <div class="column armory-side">
        <${MemoryCard} draft=${draft} etag=${config.etag} />
        <${HistoryCard} etag=${config.etag} onRestored=${resource.refresh} />
      </div>
    </div>
  `;
}

function Sections({ sections, draft, chosen, onChoose }) {
  const edited = (name) => Object.keys(draft.edits).filter((each) => each.slice(0, Math.max(0, each.lastIndexOf("."))) === name).length;
  return html`
    <div class="sections" role="group" aria-label=${texts.armory.sections}>
      ${sections.map(({ name }) => {
        const count = edited(name);
        return html`
          <button key=${name} type="button" class="section" aria-pressed=${String(name === chosen)} onClick=${() => onChoose(name)}>
            ${sectionTitle(name)}${count > 0 && html` <span class="badge">${format.count(count)}</span>`}
          </button>
        `;
      })}
    </div>
  `;
}

function Found({ sections }) {
  const count = sections.reduce((sum, { settings }) => sum + settings.length, 0);
  return count === 0 ? html`<${Empty}>${texts.armory.nothingFound}<//>` : html`<p class="quiet" role="status">${texts.armory.found(format.count(count), count === 1)}</p>`;
}

function Problems({ problems }) {
  return html`
    <div class="card problems" role="alert">
      <p class="bad">${texts.armory.broken}</p>
      <ul>
        ${problems.map(({ message }) => html`<li key=${message}><bdi>${message}</bdi></li>`)}
      </ul>
    </div>
  `;
}

// Sections with those of their settings that have all the words, or are edited or not at their defaults.
function filtered(sections, search, onlySet, draft) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return sections
    .map((section) => ({
      ...section,
      settings: section.settings.filter((setting) => {
        const text = `${setting.name} ${setting.name.replaceAll("_", " ")} ${setting.help} ${sectionTitle(section.name)}`.toLowerCase();
        const isSet = !["default", "hero"].includes(setting.source.kind) || setting.name in draft.edits;
        return words.every((word) => text.includes(word)) && (!onlySet || isSet);
      }),
    }))
    .filter(({ settings }) => settings.length > 0);
}
