// Everything that the catalog knows, by kind, page by page.

import { html, useEffect, useLayoutEffect, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Breakable } from "../../parts/breakable.js";
import { Card, Empty, Pager, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CHANGES } from "./changes.js";
import { pathOf } from "./links.js";

const words = texts.vault.assets;
const LIMIT = 25;
const PAUSE_MS = 250;

export function AssetsCard({ counts }) {
  const [type, setType] = useState(null);
  const [typed, setTyped] = useState("");
  const [offset, setOffset] = useState(0);
  const name = useSettled(typed.trim());
  useLayoutEffect(() => setOffset(0), [type, name]);
  const query = new URLSearchParams({ limit: LIMIT, offset, ...(type && { type }), ...(name && { name }) });
  const found = useKept(useResource(`/vault/list?${query}`, { on: CHANGES }));
  const assets = found.data?.assets ?? [];
  return html`
    <${Card} id="assets" title=${words.title} aside=${html`<${Search} value=${typed} onInput=${setTyped} />`}>
      <${Kinds} counts=${counts} chosen=${type} onChoose=${setType} />
      <${Waiting} resource=${found} />
      ${found.data && assets.length === 0 && html`<${Empty}>${words.none}<//>`}
      ${assets.length > 0 && html`<${Table} assets=${assets} />`}
      <${Pager} offset=${offset} limit=${LIMIT} total=${found.data?.total} onMove=${setOffset} />
    <//>
  `;
}

// What was typed, once nothing more has been for a moment.
function useSettled(value) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

function Search({ value, onInput }) {
  return html`<input
    type="search"
    id="asset-name"
    aria-label=${words.search}
    placeholder=${words.search}
    maxlength="255"
    value=${value}
    onInput=${(event) => onInput(event.target.value)}
  />`;
}

function Kinds({ counts, chosen, onChoose }) {
  const kinds = Object.entries(counts ?? {}).filter(([, count]) => count > 0);
  const button = (type, label, count) => html`
    <button key=${type ?? "all"} type="button" aria-pressed=${String(chosen === type)} onClick=${() => onChoose(type)}>
      ${label} <span class="chip-count">${format.count(count)}</span>
    </button>
  `;
  if (kinds.length === 0) return null;
  const all = kinds.reduce((sum, [, count]) => sum + count, 0);
  return html`
    <div class="chips" role="group" aria-label=${words.filter}>
      ${button(null, words.all, all)} ${kinds.map(([type, count]) => button(type, words.types[type] ?? type, count))}
    </div>
  `;
}

function Table({ assets }) {
  const { name, type, size, where, status } = words.columns;
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">${name}</th>
            <th scope="col" class="spare">${type}</th>
            <th scope="col" class="number">${size}</th>
            <th scope="col">${where}</th>
            <th scope="col" class="spare">${status}</th>
          </tr>
        </thead>
        <tbody>
          ${assets.map((asset) => html`<${Row} key=${asset.asset_id} asset=${asset} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Row({ asset }) {
  const places = [...new Set(asset.locations.map(({ stronghold }) => stronghold))];
  const isHere = asset.asset_type === "checkpoint" && places.includes("local_vault");
  const name = html`<${Breakable} text=${asset.name} />`;
  return html`
    <tr data-asset=${asset.asset_id}>
      <td class="wide" title=${asset.locations.map(({ path }) => path).join("\n")}>
        ${isHere ? html`<a href=${pathOf(asset.name)}>${name}</a>` : name}
      </td>
      <td class="spare">${words.types[asset.asset_type] ?? asset.asset_type}</td>
      <td class="number">${format.size(asset.size_gb)}</td>
      <td><bdi>${places.join(", ")}</bdi></td>
      <td class="spare">${asset.status}</td>
    </tr>
  `;
}
