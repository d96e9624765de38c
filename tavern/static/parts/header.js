// What stands above every page: where one is, what the realm does, and the control of it.

import { html, useLayoutEffect, useRef, useState } from "../preact.js";
import * as format from "../format.js";
import { shownState, useRealm } from "../link/realm.js";
import { destinations } from "../pages.js";
import { texts } from "../texts.js";
import { Controls } from "./controls.js";
import { Icon } from "./icons.js";

// So many places fit into the bar of a phone; the others open from its last button.
const PLACES_ON_A_PHONE = 4;

export function Header({ page }) {
  return html`
    <header class="top">
      <a class="brand" href="/">
        <img class="crest" src="/static/crest.svg" alt="" width="36" height="36" />
        <h1>${texts.title}</h1>
      </a>
      <${State} />
      <${Controls} />
      <${Navigation} page=${page} />
    </header>
    <div class="away" role="alert"><${Away} /></div>
  `;
}

function State() {
  const state = useRealm(shownState);
  const isOpen = useRealm(({ link }) => link === "open");
  const reason = useRealm(({ snapshot }) => snapshot?.realm?.reason ?? null);
  const since = useRealm(({ snapshot }) => snapshot?.realm?.since ?? null);
  const timestamp = useRealm(({ snapshot }) => snapshot?.timestamp ?? null);
  const why = isOpen ? [reason, since && texts.since(format.time(since))].filter(Boolean).join(", ") : "";
  return html`
    <div class="state">
      <p class="pill" role="status"><span class="dot" aria-hidden="true"></span><span id="state">${texts.states[state]}</span></p>
      <p class="reason" id="state-reason" title=${why}><bdi>${why}</bdi></p>
      <p class="as-of">${texts.asOf} <time id="as-of" datetime=${timestamp ?? ""}>${format.time(timestamp)}</time></p>
    </div>
  `;
}

function Away() {
  const reason = useRealm(({ link, awayReason }) => (link === "away" ? awayReason : null));
  const last = useRealm(({ link, snapshot }) => (link === "away" && snapshot ? snapshot.timestamp : null));
  return html`<p id="away" hidden=${reason === null}>
    ${reason === null ? "" : texts.away.banner(reason, last && format.time(last))}
  </p>`;
}

function Navigation({ page }) {
  const [isOpen, setOpen] = useState(false);
  const more = useRef();
  // Both with the drawing of it: a key in between would close nothing, and what is opened anew would be closed.
  useLayoutEffect(() => setOpen(false), [page]);
  useLayoutEffect(() => {
    if (!isOpen) return undefined;
    const close = (event) => {
      if (event.type === "keydown" ? event.key === "Escape" : !more.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("keydown", close);
    document.addEventListener("click", close);
    return () => {
      document.removeEventListener("keydown", close);
      document.removeEventListener("click", close);
    };
  }, [isOpen]);
  const link = ({ name, path, icon }) => html`
    <li key=${name}>
      <a href=${path} aria-current=${name === page ? "page" : null}><${Icon} name=${icon} /><span>${texts.pages[name]}</span></a>
    </li>
  `;
  const others = destinations.slice(PLACES_ON_A_PHONE);
  return html`
    <nav aria-label=${texts.navigation}>
      <ul>
        ${destinations.slice(0, PLACES_ON_A_PHONE).map(link)}
        <li class="more" ref=${more} hidden=${others.length === 0}>
          <button type="button" class="more-button" aria-expanded=${String(isOpen)} onClick=${() => setOpen(!isOpen)}>
            <${Icon} name="more" /><span>${texts.more}</span>
          </button>
          <ul class="others" data-open=${isOpen}>
            ${others.map(link)}
          </ul>
        </li>
      </ul>
    </nav>
  `;
}
