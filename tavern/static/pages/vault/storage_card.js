// How full it is: of its own budget and of the disk; and the other places that things are kept in.

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { ask } from "../../parts/dialog.js";
import { Card, Facts, Meter, Moment, Waiting } from "../../parts/panels.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";
import { begin } from "../checkpoint/wishes.js";

const BYTES_PER_GB = 1e9;
const NAMED = 20;
const words = texts.vault.storage;
const PARTS = ["checkpoint", "branch", "snapshot", "archive", "copy", "backup"];

export function StorageCard({ storage }) {
  const told = storage.data?.treasury ?? null;
  const at = storage.data?.looked_at;
  const aside = at && html`<p class="quiet">${words.lookedAt} <${Moment} at=${at} /></p>`;
  return html`
    <${Card} id="storage" title=${words.title} aside=${aside}>
      <${Waiting} resource=${storage} />
      ${storage.data?.error && html`<p class="bad" role="alert">${storage.data.error}</p>`}
      ${told && html`<${Room} told=${told} /><${Prune} onDone=${storage.refresh} />`}
    <//>
  `;
}

function Room({ told }) {
  const kept = words.kept(format.size(told.kept_gb), format.size(told.limit_gb));
  const disk = words.disk(format.size(told.used_gb), format.size(told.total_gb), format.size(told.free_gb));
  const parts = PARTS.filter((part) => told[`${part}_count`] > 0 || part === "checkpoint");
  return html`
    <p class="room-line" id="storage-kept">${kept}</p>
    <${Meter} className="room" value=${told.kept_gb} most=${told.limit_gb} label=${words.keptLabel} text=${kept} />
    <p class="room-line">${disk}</p>
    <${Meter} className="room" value=${told.used_gb} most=${told.total_gb} label=${words.diskLabel} text=${disk} />
    ${told.health !== "healthy" && html`<p class="bad" role="status">${words.health[told.health]}</p>`}
    <${Facts}
      pairs=${parts.map((part) => [
        words.parts[part],
        words.part(format.count(told[`${part}_count`]), format.size(told[`${part}_size_gb`])),
      ])}
    />
  `;
}

// What the realm deletes by itself, told and done now.
function Prune({ onDone }) {
  const [isAsking, setAsking] = useState(false);
  async function prune() {
    setAsking(true);
    try {
      const told = await begin("/vault/prune", {});
      if (told === null || !(await agree(told))) return;
      const done = await begin("/vault/prune", { confirm: "prune" });
      if (done === null) return;
      toast({ kind: "answer", text: words.pruned(format.count(done.deleted.length), size(done.freed_bytes)) });
      onDone();
    } finally {
      setAsking(false);
    }
  }
  return html`<button type="button" class="small" id="prune" disabled=${isAsking} aria-busy=${isAsking ? "true" : null} onClick=${prune}>${words.prune}</button>`;
}

async function agree({ deleted, kept, freed_bytes: freed }) {
  if (deleted.length === 0) {
    const held = kept.filter(({ reason }) => reason !== null).length;
    await ask({ title: words.prune, text: words.pruneNothing(format.count(held)), yes: texts.checkpoint.actions.cannot, no: null });
    return false;
  }
  const rest = deleted.length - NAMED;
  const body = html`
    <ul class="dry-run" id="dry-run" tabindex="0">
      ${deleted.slice(0, NAMED).map(
        ({ name, frees_bytes: bytes, reason }) => html`<li key=${name}><bdi>${words.pruneLine(name, size(bytes), reason)}</bdi></li>`,
      )}
      ${rest > 0 && html`<li>${words.pruneMore(format.count(rest))}</li>`}
    </ul>
  `;
  const text = words.pruneText(format.count(deleted.length), deleted.length === 1, size(freed));
  return ask({ title: words.pruneTitle, text, body, yes: words.pruneYes, serious: true });
}

function size(bytes) {
  return format.size(bytes / BYTES_PER_GB);
}

// The realm's own directory is told of above: strongholds are worth a card once there are others.
export function StrongholdsCard({ storage }) {
  const places = storage.data?.strongholds ?? [];
  if (places.length < 2) return null;
  const { title, assets, free } = texts.vault.strongholds;
  return html`
    <${Card} id="strongholds" title=${title}>
      <ul class="places">
        ${places.map(
          (place) => html`
            <li key=${place.name} class="place">
              <span class="status-dot" data-status=${place.status} aria-hidden="true"></span>
              <div>
                <p class="place-name"><bdi>${place.name}</bdi> <span class="plain">${place.type}, ${place.status}</span></p>
                <p class="plain">
                  ${assets(format.count(place.asset_count))}
                  ${format.known(place.free_gb) && `, ${free(format.size(place.free_gb), format.size(place.total_gb))}`}
                </p>
              </div>
            </li>
          `,
        )}
      </ul>
    <//>
  `;
}
