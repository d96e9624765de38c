// Short messages in the corner: what a button did, and the few events that people are told of wherever they are.

import { html, useLayoutEffect, useState } from "../preact.js";
import { listen } from "../link/realm.js";
import { noticeOf } from "../notices.js";
import { texts } from "../texts.js";
import { Icon } from "./icons.js";

const SHOWN_AT_MOST = 4;
const SECONDS = { answer: 6, quest: 8, level: 10, trouble: 20 };

let add = () => {};
let lastKey = 0;

// `kind` is "answer", "quest", "level" or "trouble".
export function toast({ kind, text }) {
  add({ kind, text, key: ++lastKey });
}

export function Toasts() {
  const [shown, setShown] = useState([]);
  const remove = (key) => setShown((old) => old.filter((one) => one.key !== key));
  add = (news) => {
    // A newer one of its kind takes its place: a storm of events is one message, not a wall of them (F17).
    setShown((old) => [...old.filter(({ kind }) => kind !== news.kind), news].slice(-SHOWN_AT_MOST));
    setTimeout(() => remove(news.key), SECONDS[news.kind] * 1000);
  };
  useLayoutEffect(
    () =>
      listen((event) => {
        const kind = noticeOf(event);
        if (kind !== null) toast({ kind, text: event.message });
      }),
    [],
  );
  return html`
    <ol class="toasts" id="toasts" aria-live="polite" aria-label=${texts.toasts.label}>
      ${shown.map(
        ({ kind, text, key }) => html`
          <li key=${key} class="toast" data-kind=${kind}>
            <${Icon} name=${kind} />
            <p id=${kind === "answer" ? "answer" : null}>${text}</p>
            <button type="button" class="plain-button" aria-label=${texts.toasts.close} onClick=${() => remove(key)}>
              <${Icon} name="close" />
            </button>
          </li>
        `,
      )}
    </ol>
  `;
}
