// Beside the settings of notifications: how telling goes, a message to try it, and what this browser shows itself.

import { html, useState } from "../../preact.js";
import { isDenied, isPossible, isWanted, KINDS, want } from "../../announcing.js";
import { useResource } from "../../link/resource.js";
import { post } from "../../link/request.js";
import { Moment, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const TEST_MS = 60_000;
const EVENTS = ["settings_changed", "notification_dropped", "quest_sealed", "level_mastered", "achievement"];

export function Ravens() {
  const told = useResource("/api/notifications", { on: EVENTS });
  const [results, setResults] = useState({});
  const [address, setAddress] = useState("");
  const words = texts.armory.ravens;

  async function test(key, body) {
    setResults((old) => ({ ...old, [key]: { text: words.testing } }));
    const result = await post("/api/notifications/test", body, { timeout: TEST_MS }).then(
      ({ results: [first] }) => (first.taken ? { text: words.taken } : { text: words.refused(first.why), isBad: true }),
      (error) => ({ text: words.refused(error.message), isBad: true }),
    );
    setResults((old) => ({ ...old, [key]: result }));
  }

  const targets = told.data?.targets ?? [];
  return html`
    <div class="ravens">
      <h3>${words.title}</h3>
      <${Waiting} resource=${told} />
      ${told.data && targets.length === 0 && html`<p class="quiet">${words.none}</p>`}
      <ul class="entries" id="targets">
        ${targets.map(
          (target, index) => html`
            <li key=${target.id}>
              <code><bdi>${target.shown}</bdi></code>
              <span class="quiet">${target.sent_at ? html`${words.sent("")}<${Moment} at=${target.sent_at} />` : words.quiet}</span>
              <button type="button" class="small" aria-label=${words.testLabel(index + 1, target.shown)} onClick=${() => test(target.id, { target: target.id })}>
                ${words.test}
              </button>
              ${target.trouble && html`<p class="bad"><bdi>${target.trouble}</bdi></p>`}
              <${Result} result=${results[target.id]} />
            </li>
          `,
        )}
      </ul>
      <form
        class="try"
        onSubmit=${(event) => {
          event.preventDefault();
          test("new", { address: address.trim() });
        }}
      >
        <label for="try-address">${words.tryNew}</label>
        <input id="try-address" type="text" autocomplete="off" spellcheck=${false} placeholder=${texts.armory.addressHint} value=${address} onInput=${(event) => setAddress(event.target.value)} />
        <button type="submit" disabled=${address.trim() === ""}>${words.send}</button>
        <${Result} result=${results.new} />
      </form>
      <${InThisBrowser} />
    </div>
  `;
}

function Result({ result }) {
  return result ? html`<p role="status" class=${result.isBad ? "bad" : "quiet"}><bdi>${result.text}</bdi></p>` : null;
}

function InThisBrowser() {
  const [, redraw] = useState(0);
  const words = texts.armory.browser;
  const choose = async (kind, wanted) => {
    await want(kind, wanted);
    redraw((count) => count + 1);
  };
  return html`
    <fieldset class="in-browser" disabled=${!isPossible() || isDenied()}>
      <legend>${words.title}</legend>
      <p class="quiet">${words.lead}</p>
      ${!isPossible() && html`<p class="quiet">${words.impossible}</p>`} ${isDenied() && html`<p class="bad">${words.denied}</p>`}
      ${KINDS.map(
        (kind) => html`
          <label key=${kind}>
            <input type="checkbox" name=${`announce-${kind}`} checked=${isWanted(kind)} onChange=${(event) => choose(kind, event.target.checked)} />
            ${words.kinds[kind]}
          </label>
        `,
      )}
    </fieldset>
  `;
}
