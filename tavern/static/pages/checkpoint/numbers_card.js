// The numbers of a checkpoint as they were when it was saved, how they compare, and what keeps it.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { Breakable } from "../../parts/breakable.js";
import { Card, Facts, Moment } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { CheckpointLink } from "../vault/links.js";

const words = texts.checkpoint;
const text = (value) => (value ? html`<${Breakable} text=${value} />` : texts.unknown);

export function NumbersCard({ told }) {
  const record = told.ledger;
  const deployment = html`<p class="quiet">${words.deployment.title}: ${words.deployment.none}</p>`;
  return html`
    <${Card} id="numbers" title=${words.stats.title} aside=${html`<code class="directory-name">${told.name}</code>`}>
      ${record === null ? html`<p class="bad">${words.stats.noRecord}</p>` : html`<${Numbers} record=${record} />`}
      ${told.deployment === null && deployment}
    <//>
  `;
}

function Numbers({ record }) {
  const { stats } = words;
  const skill = record.skill_level === null ? record.skill_name : stats.skillLevel(record.skill_name, record.skill_level);
  return html`<${Facts}
    className="facts pairs numbers"
    pairs=${[
      [stats.trainLoss, format.loss(record.train_loss), "stat-train-loss"],
      [stats.valLoss, format.loss(record.val_loss), "stat-val-loss"],
      [stats.perplexity, format.loss(record.perplexity)],
      [stats.accuracy, format.percent(record.accuracy, 1)],
      [stats.learningRate, format.rate(record.learning_rate)],
      [stats.epoch, format.rate(record.epoch)],
      [stats.rows, format.count(record.total_examples_trained), "stat-rows"],
      [stats.size, format.size(record.size_gb)],
      [stats.saved, html`<${Moment} at=${record.timestamp} />`],
      [stats.quest, text(record.training_file)],
      record.skill_name && [stats.skill, text(skill)],
      [stats.hero, text(record.hero)],
      [stats.base, text(record.base_model)],
      [stats.leftOut, format.count(record.steps_left_out)],
      [stats.seed, record.seed === null ? texts.unknown : String(record.seed)],
      [stats.code, text(record.code_version)],
      [stats.madeBy, text(record.created_by)],
    ]}
  />`;
}

export function ComparisonCard({ told }) {
  const found = told.comparison;
  if (found === null) return null;
  const { comparison } = words;
  const rank = found.rank === null ? texts.unknown : comparison.of(format.count(found.rank), format.count(found.of));
  const best = found.best && html`<${CheckpointLink} address=${found.best.name} step=${found.best.step} />`;
  return html`
    <${Card} id="comparison" title=${comparison.title}>
      <${Facts}
        className="facts pairs"
        pairs=${[
          [comparison.rank, rank, "rank"],
          [comparison.best, found.is_best ? comparison.isBest : (best ?? texts.unknown)],
          [comparison.behind, signed(found.behind_best)],
          [comparison.since, signed(found.since_previous), "since-previous"],
        ]}
      />
    <//>
  `;
}

function signed(value) {
  if (!format.known(value)) return texts.unknown;
  return `${value > 0 ? "+" : value < 0 ? "−" : "±"}${format.loss(Math.abs(value))}`;
}

export function ProtectionCard({ told }) {
  const { level, reason } = told.protection;
  return html`
    <${Card} id="protection" title=${words.protection.title}>
      <p class="protection" data-level=${level}>
        <span class="badge">${words.protection.levels[level]}</span>${" "}<span id="protection-reason">${reason}</span>
      </p>
    <//>
  `;
}
