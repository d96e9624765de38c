// The directory of a checkpoint and what lies in it, as its manifest tells.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Card, Facts, Moment } from "../../parts/panels.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";

const words = texts.checkpoint.files;
const BYTES_PER_GB = 1e9;

export function FilesCard({ physical }) {
  const { files, path } = physical;
  const summary = words.summary(format.count(physical.file_count), format.size(physical.total_size_gb));
  return html`
    <${Card} id="files" title=${words.title} aside=${html`<p class="quiet">${summary}</p>`}>
      <p class="path"><code id="checkpoint-path">${path}</code>${" "}<button type="button" class="small" onClick=${() => copy(path)}>${words.copy}</button></p>
      <${Facts}
        pairs=${[
          [words.optimizer, physical.has_optimizer ? words.with : words.without],
          [words.scheduler, physical.has_scheduler ? words.with : words.without],
          [words.modified, html`<${Moment} at=${physical.modified} />`],
        ]}
      />
      ${files.length === 0 ? html`<p class="bad">${words.none}</p>` : html`<${Table} files=${files} />`}
    <//>
  `;
}

function Table({ files }) {
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">${words.name}</th>
            <th scope="col" class="number">${words.size}</th>
          </tr>
        </thead>
        <tbody>
          ${files.map(
            ({ name, size_bytes: size }) => html`
              <tr key=${name}>
                <td><bdi>${name}</bdi></td>
                <td class="number">${format.size(size / BYTES_PER_GB)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

// A page that did not come over HTTPS or from this very host has no clipboard.
async function copy(path) {
  try {
    await navigator.clipboard.writeText(path);
    toast({ kind: "answer", text: words.copied });
  } catch {
    toast({ kind: "trouble", text: words.notCopied(path) });
  }
}
