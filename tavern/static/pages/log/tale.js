// One thing that happened, and what else is known of it.

import { Component, html } from "../../preact.js";
import * as format from "../../format.js";
import { Breakable } from "../../parts/breakable.js";
import { Icon } from "../../parts/icons.js";
import { Facts } from "../../parts/panels.js";
import { texts } from "../../texts.js";

// Drawn, not written: what the server tells with each tale for terminals is in no font of many machines (F18).
const ICONS = { battle: "sword", quests: "scroll", guild: "book", vault: "chest", realm: "shield", trouble: "trouble" };
const KIND_ICONS = { hero_level_up: "level", level_mastered: "trophy", achievement: "trophy", quest_learned: "trophy", checkpoint_saved: "save" };

// Of hundreds that are shown, one is new each second: the others are not drawn again.
export class Tale extends Component {
  shouldComponentUpdate({ tale }) {
    return tale !== this.props.tale;
  }

  render({ tale }) {
    const { id, at, message, type, category, data } = tale;
    const facts = Object.entries(data ?? {}).filter(([, value]) => value !== null);
    return html`
      <article class="tale" id="tale-${id}" data-category=${category} data-type=${type} aria-labelledby="tale-text-${id}">
        <span class="tale-icon"><${Icon} name=${KIND_ICONS[type] ?? ICONS[category] ?? "quill"} /></span>
        <time datetime=${at} title=${at}>${format.clock(at)}</time>
        <div class="tale-body">
          <p id="tale-text-${id}"><${Breakable} text=${message} /></p>
          ${facts.length > 0 &&
          html`
            <details>
              <summary>${texts.battleLog.facts}</summary>
              <${Facts} className="tale-facts" pairs=${[["type", type], ...facts.map(([name, value]) => [name, html`<bdi>${told(value)}</bdi>`])]} />
            </details>
          `}
        </div>
        <span class="badge">${texts.battleLog.category[category] ?? category}</span>
      </article>
    `;
  }
}

function told(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
