// A list of secrets: those that are there are shown by their service alone and can only be kept or removed.

import { html } from "../../preact.js";
import { texts } from "../../texts.js";
import { Entries } from "./entries.js";

const isNew = (secret) => typeof secret === "string";
const keyOf = (secret) => (isNew(secret) ? secret : secret.keep);

export function Secrets({ value, attributes, onChange }) {
  const secrets = Array.isArray(value) ? value : [];
  const entries = secrets.map((secret) => {
    const name = isNew(secret) ? secret : secret.shown;
    return { key: keyOf(secret), name, shown: html`<code><bdi>${name}</bdi></code>` };
  });
  const input = {
    "aria-label": texts.armory.newAddress,
    placeholder: texts.armory.addressHint,
    autocomplete: "off",
    spellcheck: false,
  };
  return html`
    <${Entries}
      entries=${entries}
      attributes=${attributes}
      input=${input}
      onAdd=${(typed) => onChange(secrets.includes(typed) ? secrets : [...secrets, typed])}
      onRemove=${(key) => onChange(secrets.filter((secret) => keyOf(secret) !== key))}
    />
  `;
}
