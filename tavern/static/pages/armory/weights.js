// Names with a number each, such as the skills of the curriculum.

import { html, useState } from "../../vendor/preact/standalone.module.js";
import { texts } from "../../texts.js";
import { Icon } from "../../parts/icons.js";

export function Weights({ value, attributes, onChange }) {
  const [name, setName] = useState("");
  const pairs = Object.entries(value ?? {});
  const put = (key, text) => {
    const number = Number(text);
    onChange({ ...value, [key]: text.trim() !== "" && Number.isFinite(number) ? number : text });
  };
  const remove = (key) => onChange(Object.fromEntries(pairs.filter(([one]) => one !== key)));
  const add = () => {
    if (name.trim() === "") return;
    onChange({ ...value, [name.trim()]: 1 });
    setName("");
  };
  const addOnEnter = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  };
  return html`
    <ul class="entries" ...${attributes} tabindex="-1">
      ${pairs.map(
        ([key, weight]) => html`
          <li key=${key}>
            <bdi>${key}</bdi>
            <input
              type="text"
              inputmode="decimal"
              aria-label=${texts.armory.weight(key)}
              disabled=${attributes.disabled}
              value=${String(weight)}
              onInput=${(event) => put(key, event.target.value)}
            />
            <button type="button" class="plain-button" disabled=${attributes.disabled} aria-label=${texts.armory.remove(key)} onClick=${() => remove(key)}>
              <${Icon} name="close" />
            </button>
          </li>
        `,
      )}
      <li>
        <input
          type="text"
          aria-label=${texts.armory.weightName}
          placeholder=${texts.armory.weightName}
          disabled=${attributes.disabled}
          value=${name}
          onInput=${(event) => setName(event.target.value)}
          onKeyDown=${addOnEnter}
        />
        <button type="button" disabled=${attributes.disabled || name.trim() === ""} onClick=${add}>${texts.armory.add}</button>
      </li>
    </ul>
  `;
}
