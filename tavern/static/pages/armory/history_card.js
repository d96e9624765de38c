// Changes of the settings file by program, and going back to before one of them.

import { html, useState } from "../../vendor/preact/standalone.module.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { post, request } from "../../link/request.js";
import { ask } from "../../parts/dialog.js";
import { Card, Empty, Moment, Waiting } from "../../parts/panels.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";
import { Changes, Diff } from "./diff.js";

const NAMES_SHOWN = 3;
const SHOWN_AT_FIRST = 5;

export function HistoryCard({ onRestored }) {
  const history = useResource("/config/history", { on: ["settings_changed"] });
  const [isOpen, setOpen] = useState(false);
  const versions = history.data?.versions ?? [];
  const shown = isOpen ? versions : versions.slice(0, SHOWN_AT_FIRST);

  async function goBack(version) {
    const words = texts.armory.history;
    const when = format.time(version.at);
    try {
      const past = await request(`/config/history/${version.number}`);
      const wrong = past.findings.filter(({ severity }) => severity === "error");
      if (wrong.length) throw new Error(`${words.refused} ${wrong.map(({ message }) => message).join(" ")}`);
      const body = html`<${Changes} changes=${past.changes} /><${Diff} lines=${past.diff} />`;
      if (!(await ask({ title: words.confirm(when), body, yes: words.yes, no: texts.armory.confirm.no }))) return;
      await post("/config/restore", { number: version.number, etag: past.etag });
      toast({ kind: "answer", text: words.done });
    } catch (error) {
      toast({ kind: "trouble", text: error.message });
    }
    history.refresh();
    onRestored();
  }

  const words = texts.armory.history;
  return html`
    <${Card} id="history" title=${words.title}>
      <${Waiting} resource=${history} />
      ${history.data && versions.length === 0 && html`<${Empty}>${words.none}<//>`}
      <ol class="versions">
        ${shown.map(
          (version) => html`
            <li key=${version.number}>
              <div>
                <p class="version-names"><bdi>${namesOf(version.names)}</bdi></p>
                <p class="quiet"><${Moment} at=${version.at} /> <bdi>${words.by(version.by)}</bdi></p>
              </div>
              <button type="button" class="small" aria-label=${words.backLabel(format.time(version.at))} onClick=${() => goBack(version)}>${words.back}</button>
            </li>
          `,
        )}
      </ol>
      ${versions.length > shown.length &&
      html`<button type="button" class="small" onClick=${() => setOpen(true)}>${words.more(format.count(versions.length - shown.length))}</button>`}
    <//>
  `;
}

function namesOf(names) {
  if (names.length === 0) return texts.armory.history.noNames;
  const rest = names.length - NAMES_SHOWN;
  return [...names.slice(0, NAMES_SHOWN), ...(rest > 0 ? [texts.armory.history.more(rest)] : [])].join(", ");
}
