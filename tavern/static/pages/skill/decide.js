// What a person may decide of a skill. The level that is shown stays what the realm says.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { post } from "../../link/request.js";
import { ask } from "../../parts/dialog.js";
import { Card } from "../../parts/panels.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";

const words = texts.skill.decide;

export function Decide({ data, refresh }) {
  const { mastered_level: mastered } = data.state;
  const { max_level: most, rpg_name: name } = data.config;
  const [typed, type] = useState(null);
  const wanted = typed ?? String(mastered);
  const [isAsked, setAsked] = useState(false);
  const level = /^\d+$/.test(wanted) ? Number(wanted) : null;
  const isPossible = level !== null && level <= most && level !== mastered;

  async function set(to) {
    const told = format.count(to);
    const question = to === 0
      ? { title: words.askReset(name), text: words.resetText, yes: words.yesReset, serious: true }
      : { title: words.askSet(name, told), text: words.setText(format.count(mastered), format.count(Math.min(to + 1, most))), yes: words.yesSet };
    if (!(await ask(question))) return;
    setAsked(true);
    try {
      const { message } = await post("/api/training/curriculum", { skill: data.id, mastered_level: to });
      toast({ kind: "answer", text: message });
      // Something else may have been typed meanwhile.
      type((newest) => (newest === typed ? null : newest));
      refresh();
    } catch (error) {
      toast({ kind: "trouble", text: words.failed(error.message) });
    } finally {
      setAsked(false);
    }
  }

  return html`
    <${Card} id="decide" title=${words.title}>
      <p class="quiet">${words.hint}</p>
      <form
        class="decide"
        onSubmit=${(event) => {
          event.preventDefault();
          if (isPossible) set(level);
        }}
      >
        <label>${words.label}
          <input id="level-wanted" type="number" min="0" max=${most} inputmode="numeric" value=${wanted} onInput=${({ target }) => type(target.value)} />
        </label>
        <button type="submit" id="set-level" disabled=${!isPossible || isAsked} aria-busy=${isAsked ? "true" : null}>${words.set}</button>
        <button type="button" id="reset-skill" class="serious" disabled=${mastered === 0 || isAsked} onClick=${() => set(0)}>${words.reset}</button>
      </form>
    <//>
  `;
}
