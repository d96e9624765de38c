// What can be done with a checkpoint: hand it out, go back to it, delete it.

import { html, useState } from "../../preact.js";
import { go } from "../../router.js";
import { Card } from "../../parts/panels.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";
import { Ended, Running, useErrands } from "../vault/errands.js";
import { pathOf } from "../vault/links.js";
import { agree, begin } from "./wishes.js";

const words = texts.checkpoint.actions;
const ACTIONS = ["export", "rewind", "delete"];

export function ActionsCard({ told, path }) {
  const [asking, setAsking] = useState(null);
  const errands = useErrands();
  const { running = null, ended = [] } = errands.data ?? {};
  const last = ended.find(({ kind, checkpoint }) => kind !== "verify" && checkpoint === told.address);
  const isMine = running !== null && running.kind !== "verify" && running.checkpoint === told.address;

  async function act(action) {
    setAsking(action);
    try {
      await WISHES[action](told, path);
      errands.refresh();
    } finally {
      setAsking(null);
    }
  }

  return html`
    <${Card} id="actions" title=${words.title}>
      <ul class="actions">
        ${ACTIONS.map(
          (action) => html`
            <li key=${action}>
              <button
                type="button"
                class=${action === "delete" ? "serious" : ""}
                data-action=${action}
                aria-busy=${asking === action ? "true" : null}
                disabled=${asking !== null || (running !== null && action !== "delete")}
                aria-describedby="about-${action}"
                onClick=${() => act(action)}
              >
                ${words[action].button}
              </button>
              <p class="plain" id="about-${action}">${words[action].hint}</p>
            </li>
          `,
        )}
      </ul>
      <p class="quiet" role="status">${asking !== null ? words.asking : running && !isMine ? words.busy(running.kind, running.checkpoint) : ""}</p>
      ${isMine && html`<${Running} errand=${running} />`}
      ${!isMine && last && html`<ul class="errands" id="last-errand"><${Ended} errand=${last} /></ul>`}
    <//>
  `;
}

const WISHES = { export: wishExport, rewind: wishRewind, delete: wishDelete };

async function wishExport({ name }, path) {
  const told = await begin(`${path}/export`, {});
  if (told === null) return;
  const isWanted = await agree({ told, labels: words.export, name, isPossible: told.refusal === null });
  if (isWanted && (await begin(`${path}/export`, { confirm: told.confirm }))) toast({ kind: "answer", text: words.begun });
}

async function wishRewind({ name, address }, path) {
  const from = location.pathname;
  const told = await begin(`${path}/rewind`, {});
  if (told === null) return;
  const wish = { requeue: false };
  const body = told.changes?.undone.some(({ found }) => found) ? html`<${Requeue} wish=${wish} />` : null;
  const isWanted = await agree({ told, labels: words.rewind, name, isPossible: told.changes !== null, body });
  if (!isWanted || !(await begin(`${path}/rewind`, { confirm: told.confirm, ...wish }))) return;
  toast({ kind: "answer", text: words.begun });
  // It comes back from its branch: from then on it is called by its name alone.
  if (address !== name && location.pathname === from) go(pathOf(name));
}

async function wishDelete({ name }, path) {
  const from = location.pathname;
  const told = await begin(`${path}/delete`, {});
  if (told === null) return;
  const isWanted = await agree({ told, labels: words.delete, name, isPossible: told.held === null });
  const done = isWanted ? await begin(`${path}/delete`, { confirm: told.confirm }) : null;
  if (done === null) return;
  toast({ kind: "answer", text: done.text });
  // Who has gone elsewhere meanwhile stays there.
  if (location.pathname === from) go("/ledger");
}

function Requeue({ wish }) {
  const [isChosen, setChosen] = useState(wish.requeue);
  const choose = ({ target }) => {
    wish.requeue = target.checked;
    setChosen(target.checked);
  };
  return html`<label class="requeue"><input type="checkbox" id="requeue" checked=${isChosen} onChange=${choose} /> ${words.rewind.requeue}</label>`;
}
