// A list in a setting: each entry can be removed, and the last line adds one, by its button or by Enter.

import { html, useState } from "../../preact.js";
import { Icon } from "../../parts/icons.js";
import { texts } from "../../texts.js";

// `entries` are `{key, name, shown}`, of which `name` is what one hears and `shown` what one sees. `input` are attributes
// of the field for a new one, whose trimmed text goes to `onAdd`.
export function Entries({ entries, attributes, input, onAdd, onRemove }) {
  const [typed, setTyped] = useState("");
  const isBlank = typed.trim() === "";
  const add = () => {
    if (isBlank) return;
    onAdd(typed.trim());
    setTyped("");
  };
  const addOnEnter = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  };
  return html`
    <ul class="entries" ...${attributes} tabindex="-1">
      ${entries.map(
        ({ key, name, shown }) => html`
          <li key=${key}>
            ${shown}
            <button type="button" class="plain-button" disabled=${attributes.disabled} aria-label=${texts.armory.remove(name)} onClick=${() => onRemove(key)}>
              <${Icon} name="close" />
            </button>
          </li>
        `,
      )}
      <li>
        <input
          type="text"
          ...${input}
          disabled=${attributes.disabled}
          value=${typed}
          onInput=${(event) => setTyped(event.target.value)}
          onKeyDown=${addOnEnter}
        />
        <button type="button" disabled=${attributes.disabled || isBlank} onClick=${add}>${texts.armory.add}</button>
      </li>
    </ul>
  `;
}
