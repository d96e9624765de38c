// What stands above the settings: the search, what is changed and not saved, and saving it after a look at the diff.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { post } from "../../link/request.js";
import { ask } from "../../parts/dialog.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";
import { Changes, Diff } from "./diff.js";

export function ReviewBar({ draft, search, onSearch, onlySet, onOnlySet, onSaved }) {
  const [isBusy, setBusy] = useState(false);
  const faults = draft.check.findings.filter(({ severity }) => severity === "error").length;

  async function review() {
    const sent = draft.edits;
    setBusy(true);
    try {
      const check = await post("/config/check", draft.body);
      if (!check.valid || !(await agreed(check))) return;
      const { changes } = await post("/config", { ...draft.body, etag: check.etag });
      const words = texts.armory;
      toast({ kind: "answer", text: changes.length ? words.saved(format.count(changes.length), changes.length === 1) : words.savedNothing });
      draft.saved(sent);
    } catch (error) {
      toast({ kind: "trouble", text: texts.armory.notSaved(error.message) });
    } finally {
      setBusy(false);
      onSaved();
    }
  }

  const isClean = draft.count === 0;
  const isReady = !isClean && faults === 0 && !draft.isChecking && !isBusy;
  return html`
    <div class="armory-bar" data-clean=${isClean}>
      <input
        type="search"
        id="search"
        aria-label=${texts.armory.search}
        placeholder=${texts.armory.search}
        title=${texts.armory.searchHint}
        value=${search}
        onInput=${(event) => onSearch(event.target.value)}
      />
      <label class="only-set"><input type="checkbox" checked=${onlySet} onChange=${(event) => onOnlySet(event.target.checked)} />${texts.armory.onlySet}</label>
      <div class="edit-bar">
      <p class="edit-count" role="status">
        ${isClean ? texts.armory.noEdits : texts.armory.edits(format.count(draft.count), draft.count === 1)}
        ${faults > 0 && html`, <span class="bad">${texts.armory.faults(format.count(faults), faults === 1)}</span>`}
        ${draft.isChecking && html`<span class="quiet">, ${texts.armory.checking}</span>`}
      </p>
      <div class="bar-buttons">
        <button type="button" disabled=${isClean || isBusy} onClick=${draft.clear}>${texts.armory.discard}</button>
        <button
          type="button"
          id="review"
          class=${isReady ? "chosen" : ""}
          disabled=${!isReady}
          aria-busy=${isBusy ? "true" : null}
          onClick=${review}
        >
          ${texts.armory.review}
        </button>
      </div>
      </div>
      ${draft.check.findings.some(({ field }) => field === null) &&
      html`<ul class="setting-findings">${draft.check.findings.filter(({ field }) => field === null).map(({ message, severity }) => html`<li key=${message} class=${severity === "error" ? "bad" : "quiet"}><bdi>${message}</bdi></li>`)}</ul>`}
    </div>
  `;
}

function agreed(check) {
  const words = texts.armory.confirm;
  const warnings = check.findings.filter(({ severity }) => severity === "warning");
  const body = html`
    <${Changes} changes=${check.changes} />
    ${warnings.length > 0 && html`<ul class="setting-findings">${warnings.map(({ message }) => html`<li key=${message} class="quiet"><bdi>${message}</bdi></li>`)}</ul>`}
    <h3>${words.diff}</h3>
    <${Diff} lines=${check.diff} />
  `;
  return ask({ title: words.title, body, yes: words.yes, no: words.no });
}
