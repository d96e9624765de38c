// The battle: the quest that is fought, the hero who fights it, and what came of it so far.

import { html } from "../../preact.js";
import { BoardCard } from "./board_card.js";
import { CheckpointCard } from "./checkpoint_card.js";
import { HeroCard } from "./hero_card.js";
import { LogCard } from "./log_card.js";
import { LossCard } from "./loss_card.js";
import { MachineCard } from "./machine_card.js";
import { MomentumCard } from "./momentum_card.js";
import { Stage } from "./stage.js";

export function Page() {
  return html`
    <div class="columns battle-page">
      <div class="column">
        <${Stage} />
        <${MomentumCard} />
        <${LossCard} />
      </div>
      <div class="column">
        <${HeroCard} />
        <${BoardCard} />
        <${LogCard} />
      </div>
      <${MachineCard} />
      <${CheckpointCard} />
    </div>
  `;
}
