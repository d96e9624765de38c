import { html } from "../../preact.js";
import { Card } from "../../parts/panels.js";
import { LossChart } from "../../parts/loss_chart.js";
import { texts } from "../../texts.js";

export function LossCard() {
  const legend = html`
    <p class="legend">
      <span class="key key-loss">${texts.loss.training}</span>
      <span class="key key-validation">${texts.loss.validation}</span>
    </p>
  `;
  return html`<${Card} id="loss" title=${texts.loss.title} className="losses" aside=${legend}><${LossChart} /><//>`;
}
