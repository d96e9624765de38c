// What pages are made of: cards, pairs of a name and a value, bars, moments, and what stands where data are missing.

import { html, useEffect } from "../preact.js";
import * as format from "../format.js";
import { texts } from "../texts.js";

// A titled part of a page; `id` names it for links and tests, `aside` stands beside the title.
export function Card({ id, title, aside = null, className = "", children }) {
  return html`
    <section class="card ${className}" id=${id} aria-labelledby="${id}-title">
      <div class="card-head">
        <h2 id="${id}-title">${title}</h2>
        ${aside}
      </div>
      ${children}
    </section>
  `;
}

// `pairs` is [[name, value, id?], …]; a pair that is null is left out.
export function Facts({ pairs, className = "facts" }) {
  return html`
    <dl class=${className}>
      ${pairs.filter(Boolean).map(
        ([name, value, id]) => html`
          <div key=${name}>
            <dt>${name}</dt>
            <dd id=${id}>${value}</dd>
          </div>
        `,
      )}
    </dl>
  `;
}

// A bar; one whose value or end is not known is hatched, and says that it is not known.
export function Meter({ id, className, value, most, label, text }) {
  const share = format.known(value) && format.known(most) && most > 0 ? Math.min(1, Math.max(0, value / most)) : null;
  const told =
    share === null
      ? { role: "img", "aria-label": texts.notKnown(label) }
      : { role: "meter", "aria-label": label, "aria-valuenow": value, "aria-valuemin": 0, "aria-valuemax": most, "aria-valuetext": text };
  return html`
    <div id=${id} class="meter ${className} ${share === null ? "is-unknown" : ""}" ...${told}>
      <i style=${{ transform: `scaleX(${share ?? 0})` }}></i>
    </div>
  `;
}

// A moment in the reader's own time.
export function Moment({ at }) {
  return at ? html`<time datetime=${at} title=${at}>${format.time(at)}</time>` : texts.unknown;
}

// What stands in place of a `useResource` that has nothing to show yet; null once it has. With old data at hand, a failure
// is told above them.
export function Waiting({ resource: { data, error, asking } }) {
  if (error !== null) return html`<p class="bad told" role="alert">${texts.failed(error.message)}</p>`;
  if (data === null && asking) return html`<p class="quiet told" role="status">${texts.asking}</p>`;
  return null;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

// Steps through pages of a list: `offset` and `limit` are of the page shown, `total` of all entries. A page that is no
// more, as its entries have gone, gives way to the last there is.
export function Pager({ offset, limit, total, onMove }) {
  const isBeyond = format.known(total) && offset > 0 && offset >= total;
  useEffect(() => {
    if (isBeyond) onMove(Math.max(0, Math.floor((total - 1) / limit) * limit));
  }, [isBeyond, total]);
  if (!format.known(total) || total <= limit) return null;
  const last = Math.min(offset + limit, total);
  return html`
    <div class="pager">
      <button type="button" disabled=${offset === 0} onClick=${() => onMove(Math.max(0, offset - limit))}>${texts.pager.newer}</button>
      <p>${texts.pager.shown(format.count(offset + 1), format.count(last), format.count(total))}</p>
      <button type="button" disabled=${last >= total} onClick=${() => onMove(offset + limit)}>${texts.pager.older}</button>
    </div>
  `;
}
