// The other hosts, each as it answers now: one that is up is never shown as offline, one that is away says why (F21).

import { html, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Card, Moment, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.vault.zones;
const NEWS = ["asset_carried", "asset_not_carried"];

export function ZonesCard() {
  const [isFresh, setFresh] = useState(false);
  const zones = useKept(useResource(isFresh ? "/vault/zones/refresh" : "/vault/zones", { on: NEWS }));
  const ask = () => (isFresh ? zones.refresh() : setFresh(true));
  const { zones: listed = [], online, count } = zones.data ?? {};
  const summary = zones.data && count > 0 ? words.summary(format.count(online), format.count(count)) : "";
  return html`
    <${Card} id="zones" title=${words.title} aside=${html`<p class="quiet" role="status">${zones.asking ? words.asking : summary}</p>`}>
      ${(zones.error || zones.data === null) && html`<${Waiting} resource=${zones} />`}
      ${zones.data && count === 0 && html`<p class="quiet">${words.none}</p>`}
      <ul class="places">
        ${listed.map((zone) => html`<${Zone} key=${zone.zone_id} zone=${zone} />`)}
      </ul>
      ${count > 0 && html`<button type="button" class="small" id="refresh-zones" disabled=${zones.asking} onClick=${ask}>${words.refresh}</button>`}
    <//>
  `;
}

function Zone({ zone }) {
  const isOnline = zone.status === "online";
  return html`
    <li class="place" data-zone=${zone.zone_id}>
      <span class="status-dot" data-status=${zone.status} aria-hidden="true"></span>
      <div>
        <p class="place-name"><bdi>${zone.name}</bdi> <span class="plain">${zone.zone_type}, ${words.states[zone.status]}</span></p>
        ${
          isOnline &&
          html`<p class="plain">
            ${words.assets(format.count(zone.asset_count), format.size(zone.total_size_gb))}, ${words.room(format.size(zone.disk_free_gb))}
          </p>`
        }
        ${!isOnline && html`<p class="bad zone-error">${zone.error ?? texts.unknown}</p>`}
        <p class="plain">
          ${words.checked} <${Moment} at=${zone.last_checked} />,${" "}
          ${zone.last_sync ? html`${words.synced} <${Moment} at=${zone.last_sync} />` : words.neverSynced}
        </p>
      </div>
    </li>
  `;
}
