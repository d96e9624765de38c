// What the gates found in a file, line by line: errors first, and how many are not told.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { texts } from "../../texts.js";

const words = texts.quests.upload;

export function Findings({ errors, totalErrors, warnings, totalWarnings }) {
  if (!totalErrors && !totalWarnings) return null;
  return html`
    <ul class="findings">
      ${errors.map((each, index) => html`<${Finding} key=${`e${index}`} finding=${each} kind="error" />`)}
      ${totalErrors > errors.length && html`<li key="more-errors" class="bad">${words.notShown(format.count(totalErrors - errors.length))}</li>`}
      ${warnings.map((each, index) => html`<${Finding} key=${`w${index}`} finding=${each} kind="warning" />`)}
      ${totalWarnings > warnings.length && html`<li key="more-warnings">${words.notShown(format.count(totalWarnings - warnings.length))}</li>`}
    </ul>
  `;
}

function Finding({ finding: { line, item, field, message }, kind }) {
  const place = [line !== null && words.line(line), typeof item === "number" && words.item(item), field].filter(Boolean).join(", ");
  return html`
    <li class="finding" data-kind=${kind}>
      ${kind === "warning" && html`<span class="badge">${words.warning}</span> `}
      ${place && html`<strong><bdi>${place}</bdi></strong> `}<bdi>${message}</bdi>
    </li>
  `;
}
