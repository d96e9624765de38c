// Names with a number each, such as the skills of the curriculum.

import { html } from "../../preact.js";
import { texts } from "../../texts.js";
import { Entries } from "./entries.js";

export function Weights({ value, attributes, onChange }) {
  const pairs = Object.entries(value ?? {});
  const put = (key, text) => {
    const number = Number(text);
    onChange({ ...value, [key]: text.trim() !== "" && Number.isFinite(number) ? number : text });
  };
  const entries = pairs.map(([key, weight]) => {
    const shown = html`
      <bdi>${key}</bdi>
      <input
        type="text"
        inputmode="decimal"
        aria-label=${texts.armory.weight(key)}
        disabled=${attributes.disabled}
        value=${String(weight)}
        onInput=${(event) => put(key, event.target.value)}
      />
    `;
    return { key, name: key, shown };
  });
  return html`
    <${Entries}
      entries=${entries}
      attributes=${attributes}
      input=${{ "aria-label": texts.armory.weightName, placeholder: texts.armory.weightName }}
      onAdd=${(name) => Object.hasOwn(value ?? {}, name) || onChange({ ...value, [name]: 1 })}
      onRemove=${(key) => onChange(Object.fromEntries(pairs.filter(([one]) => one !== key)))}
    />
  `;
}
