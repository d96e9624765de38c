// The vault: what there is of the hero, how much room it takes, and where else anything lies.

import { html } from "../../preact.js";
import { useResource } from "../../link/resource.js";
import { AssetsCard } from "./assets_card.js";
import { BaseCard, LandmarksCard } from "./base_card.js";
import { CheckpointsCard } from "./checkpoints_card.js";
import { CHANGES } from "./changes.js";
import { ErrandsCard } from "./errands.js";
import { StorageCard, StrongholdsCard } from "./storage_card.js";
import { ZonesCard } from "./zones_card.js";

export function Page() {
  const storage = useResource("/vault/storage", { on: CHANGES });
  const shelf = useResource("/vault/assets?limit=1", { on: CHANGES });
  return html`
    <div class="columns vault">
      <div class="column">
        <${CheckpointsCard} />
        <${AssetsCard} counts=${shelf.data?.assets_by_type ?? null} />
      </div>
      <div class="column">
        <${LandmarksCard} shelf=${shelf} />
        <${StorageCard} storage=${storage} />
        <${BaseCard} shelf=${shelf} />
        <${ErrandsCard} />
        <${ZonesCard} />
        <${StrongholdsCard} storage=${storage} />
      </div>
    </div>
  `;
}
