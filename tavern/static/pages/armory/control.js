// One setting's control, by its kind. Calls `onChange` with the new value.

import { html, useState } from "../../preact.js";
import { texts } from "../../texts.js";
import { Secrets } from "./secrets.js";
import { numberFrom, told } from "./values.js";
import { Weights } from "./weights.js";

const NULL = "\u0000";

// `setting` as the realm tells it, `value` what is to be shown; `attributes` go onto what takes the focus.
export function Control({ setting, value, attributes, onChange }) {
  const Kind = setting.secret ? Secrets : KINDS[setting.kind];
  return html`<${Kind} setting=${setting} value=${value} attributes=${attributes} onChange=${onChange} />`;
}

function Switch({ value, attributes, onChange }) {
  return html`
    <label class="switch">
      <input type="checkbox" role="switch" ...${attributes} checked=${value === true} onChange=${(event) => onChange(event.target.checked)} />
      <span>${value === true ? texts.armory.on : texts.armory.off}</span>
    </label>
  `;
}

function Choice({ setting, value, attributes, onChange }) {
  const choose = (event) => onChange(event.target.value === NULL ? null : event.target.value);
  return html`
    <select ...${attributes} value=${value ?? NULL} onChange=${choose}>
      ${setting.nullable && html`<option value=${NULL} selected=${value === null}>${nothing(setting)}</option>`}
      ${setting.choices.map((choice) => html`<option key=${choice} value=${choice} selected=${value === choice}>${choice}</option>`)}
    </select>
  `;
}

// What is typed stays as it was typed, until something else than what was made of it is to be shown.
function Typed({ setting, value, attributes, onChange, understood, inputMode }) {
  const [typed, setTyped] = useState(null);
  const shown = typed !== null && JSON.stringify(understood(typed)) === JSON.stringify(value) ? typed : value === null ? "" : String(value);
  const type = (event) => {
    setTyped(event.target.value);
    onChange(understood(event.target.value));
  };
  const list = [...setting.words, ...setting.suggestions];
  const listId = `${attributes.id}-list`;
  return html`
    <input
      type="text"
      inputmode=${inputMode}
      autocomplete="off"
      spellcheck=${false}
      ...${attributes}
      list=${list.length ? listId : null}
      placeholder=${setting.nullable ? nothing(setting) : ""}
      value=${shown}
      onInput=${type}
    />
    ${list.length > 0 && html`<datalist id=${listId}>${list.map((one) => html`<option key=${one} value=${one} />`)}</datalist>`}
  `;
}

function Numbers(properties) {
  const { setting } = properties;
  const understood = (text) => numberFrom(text, setting);
  return html`<${Typed} ...${properties} understood=${understood} inputMode=${setting.kind === "whole" && !setting.words.length ? "numeric" : "text"} />`;
}

function Text(properties) {
  const { setting, value, attributes, onChange } = properties;
  const understood = (text) => (text === "" && setting.nullable ? null : text);
  if (!setting.name.endsWith("prompt")) return html`<${Typed} ...${properties} understood=${understood} inputMode="text" />`;
  return html`
    <textarea rows="4" ...${attributes} placeholder=${nothing(setting)} value=${value ?? ""} onInput=${(event) => onChange(understood(event.target.value))}></textarea>
  `;
}

function Choices({ setting, value, attributes, onChange }) {
  const chosen = Array.isArray(value) ? value : [];
  const toggle = (choice, isOn) => onChange(setting.choices.filter((one) => (one === choice ? isOn : chosen.includes(one))));
  return html`
    <div class="choices" role="group" ...${attributes} tabindex="-1">
      ${setting.choices.map(
        (choice) => html`
          <label key=${choice}>
            <input type="checkbox" disabled=${attributes.disabled} checked=${chosen.includes(choice)} onChange=${(event) => toggle(choice, event.target.checked)} />
            <span>${choice.replaceAll("_", " ")}</span>
          </label>
        `,
      )}
    </div>
  `;
}

function List({ value, attributes, onChange }) {
  const [typed, setTyped] = useState(null);
  const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
  const given = Array.isArray(value) ? value : [];
  const shown = typed !== null && JSON.stringify(lines(typed)) === JSON.stringify(given) ? typed : given.join("\n");
  const type = (event) => {
    setTyped(event.target.value);
    onChange(lines(event.target.value));
  };
  return html`
    <textarea rows=${Math.max(2, given.length + 1)} spellcheck=${false} ...${attributes} value=${shown} onInput=${type}></textarea>
    <p class="hint">${texts.armory.onePerLine}</p>
  `;
}

function nothing(setting) {
  return setting.of_hero === null ? texts.armory.none : texts.armory.ofHero(told(setting.of_hero));
}

const KINDS = { switch: Switch, choice: Choice, choices: Choices, whole: Numbers, number: Numbers, text: Text, list: List, weights: Weights };
