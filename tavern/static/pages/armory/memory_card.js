// What a step of training takes, as it is and with the changes.

import { html, useEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useRealm } from "../../link/realm.js";
import { post } from "../../link/request.js";
import { Card } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { explained } from "./values.js";

const WAIT_MS = 500;
const GIGABYTE = 1e9;
// Sections with settings that decide over it.
const CONCERNED = /^(hyperparams|trainer|profile|distributed)\.|^(hero|model_name)$/;

export function MemoryCard({ draft, etag }) {
  const [estimate, setEstimate] = useState(null);
  const [failure, setFailure] = useState(null);
  const latest = useRef(0);
  const body = {
    changes: Object.fromEntries(Object.entries(draft.body.changes).filter(([name]) => CONCERNED.test(name))),
    reset: draft.body.reset.filter((name) => CONCERNED.test(name)),
  };
  const isFaulty = draft.count > 0 && !draft.isChecking && !draft.check.valid;
  const isWaiting = draft.isChecking || isFaulty;
  // Asked again when the realm is back: what failed would be told for as long as nothing is edited.
  const isOpen = useRealm(({ link }) => link === "open");
  const isEdited = Object.keys(body.changes).length + body.reset.length > 0;

  useEffect(() => {
    const turn = ++latest.current;
    if (isWaiting) return undefined;
    const timer = setTimeout(
      () =>
        post("/config/estimate", body).then(
          (answer) => {
            if (turn !== latest.current) return;
            setEstimate(answer);
            setFailure(null);
          },
          (error) => {
            if (turn === latest.current) setFailure(error.message);
          },
        ),
      WAIT_MS,
    );
    return () => clearTimeout(timer);
  }, [JSON.stringify(body), etag, isWaiting, isOpen]);

  return html`
    <${Card} id="memory" title=${texts.armory.memory.title}>
      ${isFaulty && html`<p class="quiet">${texts.armory.memory.faulty}</p>`}
      ${!isFaulty && failure !== null && html`<p class="bad">${texts.armory.memory.failed(failure)}</p>`}
      ${estimate === null && failure === null && !isFaulty && html`<p class="quiet">${texts.armory.memory.asking}</p>`}
      ${estimate !== null && failure === null && !isFaulty && html`<${Estimate} estimate=${estimate} isEdited=${isEdited} />`}
    <//>
  `;
}

function Estimate({ estimate, isEdited }) {
  const words = texts.armory.memory;
  const { now, then } = estimate;
  if (then === null) return html`<p class="quiet">${words.noModel}</p>`;
  const room = format.size(estimate.room_bytes / GIGABYTE);
  return html`
    <table class="memory-parts">
      <thead>
        <tr><th></th><th class="number">${words.now}</th>${isEdited && html`<th class="number">${words.then}</th>`}</tr>
      </thead>
      <tbody>
        ${Object.entries(words.parts).map(
          ([part, name]) => html`
            <tr key=${part} class=${part === "total" ? "memory-total" : ""}>
              <th scope="row">${name}</th>
              <td class="number">${format.size(now[part] / GIGABYTE)}</td>
              ${isEdited && html`<td class="number">${format.size(then[part] / GIGABYTE)}</td>`}
            </tr>
          `,
        )}
      </tbody>
    </table>
    <p class="quiet">${words.parameters(format.parameters(estimate.parameters))}, ${words.tokens(format.count(then.tokens), then.gradient_checkpointing)}</p>
    ${estimate.fits === null
      ? html`<p class="quiet">${explained(words.unknownRoom)}</p>`
      : html`<p class=${estimate.fits ? "quiet" : "bad"} id="memory-verdict">${estimate.fits ? words.fits(room) : words.fitsNot(room)}</p>`}
  `;
}
