import { html, useEffect, useState } from "../preact.js";
import { useRealm } from "../link/realm.js";
import { request } from "../link/request.js";
import { texts } from "../texts.js";

export function Footer() {
  const version = useRealm(({ snapshot }) => snapshot?.realm?.version ?? null);
  const [canLogOut, setCanLogOut] = useState(false);
  useEffect(() => {
    // Who has not logged in cannot log out.
    request("/api/session").then(
      ({ login }) => setCanLogOut(login),
      () => {},
    );
  }, []);
  return html`
    <footer>
      <p>
        <span id="version">${version === null ? "" : texts.version(version)}</span>
        <a href="/api/game">${texts.plainData}</a>
        <a href="/docs">${texts.docs}</a>
      </p>
      <form method="post" action="/logout" id="logout" hidden=${!canLogOut}><button type="submit">${texts.logout}</button></form>
    </footer>
  `;
}
