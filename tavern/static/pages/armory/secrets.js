// A list of secrets: those that are there are shown by their service alone and can only be kept or removed.

import { html, useState } from "../../vendor/preact/standalone.module.js";
import { texts } from "../../texts.js";
import { Icon } from "../../parts/icons.js";

export function Secrets({ value, attributes, onChange }) {
  const [typed, setTyped] = useState("");
  const entries = Array.isArray(value) ? value : [];
  const add = () => {
    if (typed.trim() === "") return;
    onChange([...entries, typed.trim()]);
    setTyped("");
  };
  const addOnEnter = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  };
  return html`
    <ul class="entries" ...${attributes} tabindex="-1">
      ${entries.map((entry, index) => {
        const shown = typeof entry === "string" ? entry : entry.shown;
        return html`
          <li key=${typeof entry === "string" ? entry : entry.keep}>
            <code><bdi>${shown}</bdi></code>
            <button
              type="button"
              class="plain-button"
              disabled=${attributes.disabled}
              aria-label=${texts.armory.remove(shown)}
              onClick=${() => onChange(entries.filter((_, place) => place !== index))}
            >
              <${Icon} name="close" />
            </button>
          </li>
        `;
      })}
      <li>
        <input
          type="text"
          autocomplete="off"
          spellcheck=${false}
          aria-label=${texts.armory.newAddress}
          placeholder=${texts.armory.addressHint}
          disabled=${attributes.disabled}
          value=${typed}
          onInput=${(event) => setTyped(event.target.value)}
          onKeyDown=${addOnEnter}
        />
        <button type="button" disabled=${attributes.disabled || typed.trim() === ""} onClick=${add}>${texts.armory.add}</button>
      </li>
    </ul>
  `;
}
