// A link to a page of ours; plain text where there is no such page.

import { html } from "../preact.js";
import { pageAt } from "../router.js";

export function PageLink({ to, id, className, children }) {
  if (!isPage(to)) return html`<span id=${id}>${children}</span>`;
  return html`<a href=${to} id=${id} class=${className}>${children}</a>`;
}

export function isPage(to) {
  return pageAt(new URL(to, location.href).pathname) !== null;
}
