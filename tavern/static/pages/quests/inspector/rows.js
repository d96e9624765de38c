// Rows exactly as the model sees them, with what is learned of them in colour.

import { html, useState } from "../../../preact.js";
import * as format from "../../../format.js";
import { useKept } from "../../../link/kept.js";
import { useResource } from "../../../link/resource.js";
import { Card, Empty, Pager, Waiting } from "../../../parts/panels.js";
import { texts } from "../../../texts.js";
import { QUEST_EVENTS } from "../acting.js";

const PAGE = 5;
// Somewhere in a file of gigabytes, behind a trainer that has all processors.
const LONGEST_MS = 60_000;
// Control characters but tab and line feed, marks of direction, and letters without width but those that join others.
const UNSEEN = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\u3164\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]+)/u;
const UNSEEN_NAMED = 3;
const words = texts.quests.rows;

export function RowsCard({ path }) {
  const [offset, setOffset] = useState(0);
  const resource = useKept(useResource(`${path}/rows?offset=${offset}&limit=${PAGE}`, { on: QUEST_EVENTS, timeout: LONGEST_MS }));
  const { data } = resource;
  // Where nobody has counted the rows, there is a next page as long as there are more.
  const total = data && (data.total ?? offset + data.rows.length + (data.has_more ? 1 : 0));
  return html`
    <${Card} id="rows" title=${words.title} aside=${html`<${Legend} />`}>
      <${Waiting} resource=${resource} />
      ${data && data.rows.length === 0 && html`<${Empty}>${words.none}<//>`}
      ${data && html`<ol class="row-list">${data.rows.map((row) => html`<${Row} key=${row.number} row=${row} />`)}</ol>`}
      ${data && html`<${Pager} offset=${offset} limit=${PAGE} total=${total} onMove=${setOffset} />`}
      ${total > PAGE && html`<${GoTo} total=${total} onGo=${(number) => setOffset(number - 1)} />`}
    <//>
  `;
}

function Legend() {
  return html`
    <p class="legend" aria-hidden="true">
      <span class="row-text"><ins>${words.legend.learned}</ins> <span>${words.legend.context}</span> <del>${words.legend.lost}</del></span>
    </p>
  `;
}

function Row({ row }) {
  const losses = format.known(row.first_loss) || format.known(row.last_loss);
  return html`
    <li class="model-row" data-row=${row.number}>
      <p class="row-head quiet">
        <strong>${words.row(format.count(row.number), format.count(row.line))}</strong>
        ${row.fault === null && html`<span>${words.tokens(format.count(row.length), format.count(row.trained_kept))}</span>`}
        ${row.is_cut && html`<span class="bad">${words.cut(format.count(row.tokens_lost))}</span>`}
        ${losses && html`<span>${words.losses(format.loss(row.first_loss), format.loss(row.last_loss))}</span>`}
      </p>
      ${row.fault !== null && html`<p class="bad"><bdi>${row.fault}</bdi>${row.spans.length > 0 && ` ${words.beginning}`}</p>`}
      ${
        row.spans.length > 0 &&
        html`<pre class="row-text" dir="auto" tabindex="0" aria-label=${words.row(row.number, row.line)}><bdi>${row.spans.map((span, index) => html`<${Span} key=${index} span=${span} />`)}</bdi></pre>`
      }
      ${row.hidden_characters > 0 && html`<p class="quiet">${words.hidden(format.count(row.hidden_characters))}</p>`}
    </li>
  `;
}

// Learned text is told apart by more than colour, also to those who hear it.
function Span({ span: { text, trained, lost } }) {
  const shown = text.split(UNSEEN).map((part, index) => (index % 2 ? html`<${Unseen} key=${index} marks=${part} />` : part));
  if (lost) return html`<del>${shown}</del>`;
  return trained ? html`<ins>${shown}</ins>` : html`<span>${shown}</span>`;
}

// What turns the letters around it, or is not seen at all, is named in its place: the model reads it as one more letter.
function Unseen({ marks: text }) {
  const marks = [...text];
  const name = (mark) => `U+${mark.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  const told = marks.slice(0, UNSEEN_NAMED).map(name).join(" ");
  const more = marks.length > UNSEEN_NAMED ? ` +${format.count(marks.length - UNSEEN_NAMED)}` : "";
  return html`<abbr title=${words.unseen}>${`[${told}${more}]`}</abbr>`;
}

function GoTo({ total, onGo }) {
  const [number, setNumber] = useState("");
  const go = (event) => {
    event.preventDefault();
    const wanted = Number(number);
    if (Number.isInteger(wanted) && wanted >= 1) onGo(Math.min(wanted, total));
  };
  return html`
    <form class="go-to" onSubmit=${go}>
      <label>
        <span class="for-readers">${words.goLabel}</span>
        <input type="number" min="1" max=${total} inputmode="numeric" placeholder=${words.goPlace} value=${number} onInput=${({ target }) => setNumber(target.value)} />
      </label>
      <button>${words.go}</button>
    </form>
  `;
}
