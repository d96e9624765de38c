// The buttons that every page has. They express a wish; what is shown is what the daemon reports (F14).

import { html, useLayoutEffect, useRef, useState } from "../preact.js";
import * as format from "../format.js";
import { shownState, useRealm } from "../link/realm.js";
import { allows } from "../link/states.js";
import { texts } from "../texts.js";
import { ask } from "./dialog.js";
import { Icon } from "./icons.js";
import { toast } from "./toasts.js";
import { wish } from "./wish.js";

const ACTIONS = ["pause", "resume", "save", "skip", "stop"];

export function Controls() {
  const state = useRealm(shownState);
  const quest = useRealm(({ snapshot }) => snapshot?.quest ?? null);
  const [asked, setAsked] = useState(null);
  const group = useRef();
  const latest = useRef();
  latest.current = quest;
  const enabled = ACTIONS.filter((action) => allows(state, action, quest !== null));
  useKeptFocus(group, enabled.join(" "));

  async function control(action) {
    if (action === "skip") {
      if (!(await askToSkip(quest))) return;
      // While the question stood there, the quest may have ended and the next begun: that one was not meant.
      if (latest.current?.quest_id !== quest?.quest_id) {
        toast({ kind: "answer", text: texts.confirm.over(quest?.file ?? texts.unknown) });
        return;
      }
    }
    setAsked(action);
    await wish(action);
    // Another one may have been pressed meanwhile.
    setAsked((newest) => (newest === action ? null : newest));
  }

  return html`
    <div class="controls" role="group" aria-label=${texts.controls.label} ref=${group}>
      ${ACTIONS.map(
        (action) => html`
          <button
            key=${action}
            type="button"
            data-action=${action}
            title=${texts.controls.explain[action]}
            disabled=${!enabled.includes(action)}
            aria-busy=${asked === action ? "true" : null}
            onClick=${() => control(action)}
          >
            <${Icon} name=${action} /><span>${texts.controls[action]}</span>
          </button>
        `,
      )}
    </div>
  `;
}

// A button that disables itself would drop the keyboard's place in the page. It is noticed while the button is still in
// place: once it is disabled, the browser has forgotten it; and a moment later the keyboard may be elsewhere.
function useKeptFocus(group, enabled) {
  const had = useRef(false);
  had.current = group.current?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    const isLost = had.current && !group.current.querySelector(":focus:enabled");
    if (isLost) group.current.querySelector("button:enabled")?.focus();
  }, [enabled]);
}

function askToSkip(quest) {
  return ask({
    title: texts.confirm.title(quest?.file ?? texts.unknown),
    text: texts.confirm.text(format.count(quest?.rows_done), format.count(quest?.rows_total)),
    yes: texts.confirm.yes,
    no: texts.confirm.cancel,
    serious: true,
  });
}
