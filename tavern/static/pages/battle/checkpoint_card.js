import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useRealm } from "../../link/realm.js";
import { PageLink } from "../../parts/page_link.js";
import { Card, Facts, Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.newest;

export function CheckpointCard() {
  const checkpoint = useRealm(({ snapshot }) => snapshot?.checkpoint ?? null);
  const latest = checkpoint?.latest ?? null;
  const kept = checkpoint?.count;
  const count = kept > 0 ? words.count(format.count(kept), kept === 1) : "";
  const name = latest ? (latest.name ?? texts.unknown) : checkpoint ? words.none : texts.unknown;
  return html`
    <${Card} id="newest" title=${words.title} className="newest" aside=${html`<p class="quiet" id="vault-count">${count}</p>`}>
      <p class="checkpoint-name ${latest ? "" : "quiet"}" id="checkpoint-name">
        ${format.known(latest?.step) ? html`<${PageLink} to="/checkpoint/${latest.step}"><bdi>${name}</bdi><//>` : name}
      </p>
      ${
        latest &&
        html`<${Facts}
          pairs=${[
            [words.step, format.count(latest.step), "checkpoint-step"],
            [words.loss, format.loss(latest.train_loss), "checkpoint-loss"],
            [words.size, format.size(latest.size_gb), "checkpoint-size"],
            [words.saved, html`<${Moment} at=${latest.saved_at} />`, "checkpoint-saved"],
          ]}
        />`
      }
    <//>
  `;
}
