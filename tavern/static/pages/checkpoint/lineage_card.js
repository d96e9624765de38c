// Where a checkpoint comes from and what goes on from it, down to the very quests.

import { html, useLayoutEffect, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useKept } from "../../link/kept.js";
import { useResource } from "../../link/resource.js";
import { Breakable } from "../../parts/breakable.js";
import { Card, Empty, Moment, Pager, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CHANGES } from "../vault/changes.js";
import { CheckpointLink } from "../vault/links.js";

const words = texts.checkpoint.lineage;
const LIMIT = 20;

export function LineageCard({ path }) {
  const [scope, setScope] = useState("since");
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => setOffset(0), [scope]);
  const lineage = useKept(useResource(`${path}/lineage?scope=${scope}&limit=${LIMIT}&offset=${offset}`, { on: CHANGES }));
  const told = lineage.data;
  return html`
    <${Card} id="lineage" title=${words.title}>
      <${Waiting} resource=${lineage} />
      ${told?.known === false && html`<p class="quiet" role="status">${words.unknown(told.problem)}</p>`}
      ${told?.known && html`<${Line} told=${told} /><${Sums} told=${told} />`}
      ${told?.known && html`<${Scopes} scope=${scope} onChoose=${setScope} />`}
      ${told?.known && told.quest_count === 0 && html`<${Empty}>${words.none}<//>`}
      ${told?.known && told.quests.length > 0 && html`<${Quests} quests=${told.quests} />`}
      <${Pager} offset=${offset} limit=${LIMIT} total=${told?.quest_count} onMove=${setOffset} />
    <//>
  `;
}

function Line({ told }) {
  const began = told.genesis ? words.beginning(told.genesis.checkpoint ?? told.genesis.base_model) : words.unknownBeginning;
  return html`
    <dl class="descent">
      <div class="ancestor">
        <dt>${words.parent}</dt>
        <dd id="parent">${told.parent ? html`<${Kin} node=${told.parent} />` : html`<bdi>${began}</bdi>`}</dd>
      </div>
      <div class="here">
        <dt>${words.here}</dt>
        <dd>${texts.checkpoint.step(format.count(told.checkpoint.step))}</dd>
      </div>
      <div class="heirs">
        <dt>${words.children}</dt>
        <dd id="children">
          ${
            told.children.length === 0
              ? words.noChildren
              : html`<ul>${told.children.map((node) => html`<li key=${node.address}><${Kin} node=${node} /></li>`)}</ul>`
          }
        </dd>
      </div>
    </dl>
  `;
}

function Kin({ node }) {
  return html`
    <${CheckpointLink} address=${node.address} step=${node.step} />${" "}<span class="plain"
      >${format.loss(node.train_loss)}${node.branch && ` ${words.onBranch(node.branch)}`}</span
    >
  `;
}

function Sums({ told }) {
  const say = (sentence, { quests, rows, steps }) =>
    sentence(words.quests(format.count(quests), quests === 1), format.count(rows), format.count(steps));
  return html`<p class="sums" id="sums">${say(words.since, told.since)} ${say(words.total, told.total)}</p>`;
}

function Scopes({ scope, onChoose }) {
  return html`
    <div class="chips" role="group" aria-label=${words.scope}>
      ${Object.entries(words.scopes).map(
        ([name, label]) => html`
          <button key=${name} type="button" data-scope=${name} aria-pressed=${String(name === scope)} onClick=${() => onChoose(name)}>
            ${label}
          </button>
        `,
      )}
    </div>
  `;
}

function Quests({ quests }) {
  const { quest, rows, steps, total, outcome, claimed } = words.columns;
  return html`
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">${quest}</th>
            <th scope="col" class="number">${rows}</th>
            <th scope="col" class="number">${steps}</th>
            <th scope="col" class="number">${total}</th>
            <th scope="col">${outcome}</th>
            <th scope="col">${claimed}</th>
          </tr>
        </thead>
        <tbody>
          ${quests.map(
            (one) => html`
              <tr key=${one.ordinal} data-quest=${one.quest_id}>
                <td class="wide"><a href=${`/quests/${one.quest_id}`} title=${one.quest_id}><${Breakable} text=${one.file} /></a></td>
                <td class="number">${format.count(one.rows)}</td>
                <td class="number">${format.count(one.steps)}</td>
                <td class="number">${words.ofFile(format.count(one.rows_total), format.count(one.rows_of_file * one.epochs))}</td>
                <td>${one.outcome}</td>
                <td class="moment"><${Moment} at=${one.claimed_at} /></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
