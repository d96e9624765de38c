// One setting: its control, what it means, where its value comes from, and what the realm says to a change.

import { html } from "../../preact.js";
import { texts } from "../../texts.js";
import { Icon } from "../../parts/icons.js";
import { Control } from "./control.js";
import { same } from "./draft.js";
import { explained, limitsOf, titleOf, told } from "./values.js";

export function Setting({ setting, draft, effects }) {
  const { name } = setting;
  const edit = draft.edits[name];
  const id = `setting-${name.replaceAll(".", "-")}`;
  const findings = draft.check.findings.filter(({ field }) => field === name);
  const isWrong = findings.some(({ severity }) => severity === "error");
  const attributes = {
    id,
    disabled: setting.fixed !== null,
    "aria-labelledby": `${id}-title`,
    "aria-describedby": `${id}-help${findings.length ? ` ${id}-findings` : ""}`,
    "aria-invalid": isWrong ? "true" : null,
  };
  const shown = edit === undefined ? setting.value : edit.reset ? defaultOf(setting) : edit.value;
  const limits = limitsOf(setting);
  return html`
    <li class="setting" data-setting=${name} data-edited=${edit !== undefined}>
      <div class="setting-head">
        <h3 id="${id}-title">${titleOf(name)}</h3>
        <code class="quiet">${name}</code>
        ${edit !== undefined && html`<span class="badge">${texts.armory.changed}</span>`}
      </div>
      <div class="setting-control">
        <${Control} setting=${setting} value=${shown} attributes=${attributes} onChange=${(value) => draft.change(setting, value)} />
        <${Ways} setting=${setting} edit=${edit} draft=${draft} />
      </div>
      <p class="setting-help" id="${id}-help">${explained(setting.help)}${limits && html` <span class="quiet">(${limits})</span>`}</p>
      ${edit?.reset && html`<p class="quiet">${texts.armory.becomesDefault(told(setting.default))}</p>`}
      ${findings.length > 0 &&
      html`
        <ul class="setting-findings" id="${id}-findings" role="status">
          ${findings.map(({ message, severity }) => html`<li key=${message} class=${severity === "error" ? "bad" : "quiet"}><bdi>${shortened(message, name)}</bdi></li>`)}
        </ul>
      `}
      <p class="setting-facts quiet">
        <span title=${texts.armory.takesExplained(effects[setting.takes_effect])}><${Icon} name="clock" />${texts.armory.takes[setting.takes_effect]}</span>
        <span data-source=${setting.source.kind}><${Icon} name="scroll" />${sourceOf(setting)}</span>
        ${setting.fixed !== null && html`<span class="fixed"><${Icon} name="lock" /><span>${explained(setting.fixed)}</span></span>`}
        ${setting.pending &&
        html`<span class="pending"><${Icon} name="trouble" />${texts.armory.pending(setting.secret ? texts.armory.confirm.secret : told(setting.in_force), effects[setting.takes_effect])}</span>`}
      </p>
    </li>
  `;
}

function Ways({ setting, edit, draft }) {
  if (setting.fixed !== null) return null;
  if (edit !== undefined) {
    return html`<button type="button" class="small" onClick=${() => draft.takeBack(setting.name)}>${texts.armory.takeBack}</button>`;
  }
  const isDefault = same(setting.value, defaultOf(setting)) && setting.source.kind !== "file";
  if (isDefault) return null;
  return html`
    <button type="button" class="small" title=${texts.armory.toDefaultExplained(told(setting.default))} onClick=${() => draft.reset(setting.name)}>
      ${texts.armory.toDefault}
    </button>
  `;
}

function defaultOf(setting) {
  return setting.default;
}

function sourceOf({ source }) {
  const words = texts.armory.source[source.kind];
  return typeof words === "function" ? words(source.line ?? source.variable) : words;
}

// The name stands above it.
function shortened(message, name) {
  const rest = message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
  return rest[0].toUpperCase() + rest.slice(1);
}
