// What changes: the settings one by one, and the lines of the file.

import { html } from "../../preact.js";
import { texts } from "../../texts.js";
import { told } from "./values.js";

const SIGNS = { "+": "added", "-": "removed", "@": "place" };

export function Diff({ lines }) {
  if (lines.length === 0) return html`<p class="quiet">${texts.armory.confirm.nothing}</p>`;
  return html`
    <pre class="diff" tabindex="0" aria-label=${texts.armory.confirm.diff}>${lines.map(
      (line, index) => html`<span key=${index} class=${SIGNS[line[0]] ?? "same"}>${line.startsWith("@") ? "···" : line}${"\n"}</span>`,
    )}</pre>
  `;
}

export function Changes({ changes }) {
  if (changes.length === 0) return null;
  const words = texts.armory.confirm;
  return html`
    <div class="table-frame">
      <table class="changes">
        <thead>
          <tr><th>${words.change}</th><th>${words.before}</th><th>${words.after}</th><th>${words.when}</th></tr>
        </thead>
        <tbody>
          ${changes.map(
            ({ name, before, after, secret, when }) => html`
              <tr key=${name}>
                <td><code>${name}</code></td>
                <td><bdi>${secret ? words.secret : before === null ? words.unset : told(before)}</bdi></td>
                <td><bdi>${secret ? words.secret : after === null ? words.unset : told(after)}</bdi></td>
                <td>${when}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
