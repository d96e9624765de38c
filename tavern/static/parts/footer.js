import { html } from "../preact.js";
import { useRealm } from "../link/realm.js";
import { useResource } from "../link/resource.js";
import { texts } from "../texts.js";

export function Footer() {
  const version = useRealm(({ snapshot }) => snapshot?.realm?.version ?? null);
  // Who has not logged in cannot log out.
  const session = useResource("/api/session");
  return html`
    <footer>
      <p>
        <span id="version">${version === null ? "" : texts.version(version)}</span>
        <a href="/api/game">${texts.plainData}</a>
        <a href="/docs">${texts.docs}</a>
      </p>
      <form method="post" action="/logout" id="logout" hidden=${!session.data?.login}><button type="submit">${texts.logout}</button></form>
    </footer>
  `;
}
