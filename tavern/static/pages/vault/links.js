// How checkpoints are linked to and marked, on every page that names them.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { texts } from "../../texts.js";

// An address is a name, behind `BRANCH/` where it lies on one; in a path no slash can stand between the two.
export function pathOf(address) {
  return `/checkpoint/${encodeURIComponent(address.replace("/", ":"))}`;
}

export function CheckpointLink({ address, step }) {
  return html`<a class="checkpoint-link" href=${pathOf(address)} title=${address}>${texts.checkpoint.step(format.count(step))}</a>`;
}

// `kinds` names those that are to be shown: head, latest, best.
export function Badges({ kinds, metric = texts.ledger.columns.train_loss }) {
  const words = texts.vault;
  const hint = (kind) => (kind === "best" ? words.badgeHints.best(metric) : words.badgeHints[kind]);
  return kinds.map(
    (kind) => html`${" "}<span key=${kind} class="badge" data-badge=${kind} title=${hint(kind)}>${words.badges[kind]}</span>`,
  );
}
