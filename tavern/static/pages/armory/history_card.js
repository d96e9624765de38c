// Changes of the settings file by program, going back to before one of them, and to the default that was kept.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { post, request } from "../../link/request.js";
import { Breakable } from "../../parts/breakable.js";
import { ask } from "../../parts/dialog.js";
import { Card, Empty, Moment, Waiting } from "../../parts/panels.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";
import { Changes, Diff } from "./diff.js";

const NAMES_SHOWN = 3;
const SHOWN_AT_FIRST = 5;
const words = texts.armory.history;

// `etag` is that of the settings on the page, which are those that are kept.
export function HistoryCard({ etag, onRestored }) {
  const history = useResource("/config/history", { on: ["settings_changed", "settings_kept"] });
  const [isOpen, setOpen] = useState(false);
  const versions = history.data?.versions ?? [];
  const kept = history.data?.default ?? null;
  const shown = isOpen ? versions : versions.slice(0, SHOWN_AT_FIRST);

  // Shows what going back to a text of the file would do, and does it when that is wanted.
  async function goBack({ look, path, body, title, done }) {
    try {
      const past = await request(look);
      const wrong = past.findings.filter(({ severity }) => severity === "error");
      if (wrong.length) throw new Error(`${words.refused} ${wrong.map(({ message }) => message).join(" ")}`);
      const shown = html`<${Changes} changes=${past.changes} /><${Diff} lines=${past.diff} />`;
      if (!(await ask({ title, body: shown, yes: words.yes, no: texts.armory.confirm.no }))) return;
      await post(path, { ...body, etag: past.etag });
      toast({ kind: "answer", text: done });
    } catch (error) {
      toast({ kind: "trouble", text: error.message });
    }
    history.refresh();
    onRestored();
  }

  const undo = ({ number, at }) =>
    goBack({ look: `/config/history/${number}`, path: "/config/restore", body: { number }, title: words.confirm(format.time(at)), done: words.done });
  const goBackToDefault = ({ at }) =>
    goBack({ look: "/config/default", path: "/config/restore-default", title: words.confirmDefault(format.time(at)), done: words.doneDefault });

  async function keep() {
    try {
      await post("/config/save-default", { etag });
      toast({ kind: "answer", text: words.kept });
    } catch (error) {
      toast({ kind: "trouble", text: error.message });
    }
    history.refresh();
    // What was refused is another text of the file by now.
    onRestored();
  }

  return html`
    <${Card} id="history" title=${words.title}>
      <${Waiting} resource=${history} />
      ${history.data && versions.length === 0 && html`<${Empty}>${words.none}<//>`}
      <ol class="versions">
        ${shown.map(
          (version) => html`
            <li key=${version.number}>
              <div>
                <p class="version-names"><${Breakable} text=${namesOf(version.names)} /></p>
                <p class="quiet"><${Moment} at=${version.at} /> <bdi>${words.by(version.by)}</bdi></p>
              </div>
              <button type="button" class="small" aria-label=${words.backLabel(format.time(version.at))} onClick=${() => undo(version)}>${words.back}</button>
            </li>
          `,
        )}
      </ol>
      ${versions.length > shown.length &&
      html`<button type="button" class="small" onClick=${() => setOpen(true)}>${words.more(format.count(versions.length - shown.length))}</button>`}
      ${history.data &&
      html`
        <div class="kept-default">
          <p class="quiet">
            ${kept ? html`${words.keptDefault} <${Moment} at=${kept.at} /> <bdi>${words.by(kept.by)}</bdi>` : words.noDefault}
          </p>
          <button type="button" class="small" onClick=${keep}>${words.keep}</button>
          ${kept && html`<button type="button" class="small" onClick=${() => goBackToDefault(kept)}>${words.backToDefault}</button>`}
        </div>
      `}
    <//>
  `;
}

function namesOf(names) {
  if (names.length === 0) return words.noNames;
  const rest = names.length - NAMES_SHOWN;
  return [...names.slice(0, NAMES_SHOWN), ...(rest > 0 ? [words.more(rest)] : [])].join(", ");
}
