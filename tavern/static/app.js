// Mounts the page: the frame around all pages, and the page that the address names.

import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from "./preact.js";
import { startAnnouncing } from "./announcing.js";
import { connect, shownState, useRealm } from "./link/realm.js";
import { moodOf } from "./link/states.js";
import { DialogHost } from "./parts/dialog.js";
import { Footer } from "./parts/footer.js";
import { Header } from "./parts/header.js";
import { Toasts } from "./parts/toasts.js";
import { followLinks, pageAt, useAddress } from "./router.js";
import { useStaying } from "./staying.js";
import { texts } from "./texts.js";

// Till a page that could not be drawn is tried again: what broke it may be over, and nobody may be there to press a key.
const BROKEN_MS = 30_000;

function App() {
  const address = useAddress();
  const found = pageAt(address.pathname);
  useStaying(address.href);
  const state = useRealm(shownState);
  const heard = useRealm(({ link }) => link);
  useLayoutEffect(() => Object.assign(document.body.dataset, { mood: moodOf(state), link: heard }), [state, heard]);
  return html`
    <a class="skip-link" href="#content">${texts.skipLink}</a>
    <${Header} page=${found?.page.within ?? found?.page.name ?? null} />
    <main id="content" tabindex="-1">
      ${found ? html`<${Loaded} key=${found.page.name} ...${found} />` : html`<p class="empty">${texts.noPage}</p>`}
    </main>
    <${Footer} />
    <${Toasts} />
    <${DialogHost} />
  `;
}

// A page whose module is still on its way shows nothing; one that cannot be had or drawn says so (F10).
function Loaded({ page, parameters }) {
  const [Page, setPage] = useState(null);
  const [failure, setFailure] = useState(null);
  const [broken, mend] = useErrorBoundary((error) => console.error(error));
  useEffect(() => {
    import(`./pages/${page.name}/page.js`).then(
      (module) => setPage(() => module.Page),
      (error) => setFailure(error),
    );
  }, []);
  const at = JSON.stringify(parameters);
  const drawnAt = useRef(at);
  useEffect(() => {
    // What broke it may be no matter of another address.
    if (drawnAt.current !== at) mend();
    drawnAt.current = at;
  }, [at]);
  useEffect(() => {
    if (!broken) return undefined;
    const timer = setTimeout(mend, BROKEN_MS);
    return () => clearTimeout(timer);
  }, [broken]);
  const isOpen = useRealm(({ link }) => link === "open");
  const wasOpen = useRef(isOpen);
  useEffect(() => {
    // Browsers may remember that a module could not be had. The realm is back: begin anew.
    if (failure !== null && isOpen && !wasOpen.current) location.reload();
    wasOpen.current = isOpen;
  }, [isOpen, failure]);
  const words = texts.pages[page.name];
  useEffect(() => {
    document.title = `${words} – ${texts.title}`;
  }, [page.name]);
  const error = failure ?? broken;
  if (error) return html`<p class="empty bad" role="alert">${texts.brokenPage(words, error.message)}</p>`;
  return Page === null ? null : html`<${Page} parameters=${parameters} />`;
}

followLinks();
render(html`<${App} />`, document.getElementById("app"));
startAnnouncing();
connect();
