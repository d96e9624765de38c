// The hero: who he is made of, his level, and each stat beside the plain number that it comes from.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { shownState, useRealm } from "../../link/realm.js";
import { Meter } from "../../parts/panels.js";
import { Picture, portraitOf } from "../../parts/sprites.js";
import { texts } from "../../texts.js";
import { moodOf } from "./scene_of.js";

const STEPS_PER_LEVEL = 1000;
const GOLD_PER_QUEST = 100;
const words = texts.hero;

export function HeroCard() {
  const hero = useRealm(({ snapshot }) => snapshot?.hero ?? null);
  const training = useRealm(({ snapshot }) => snapshot?.training ?? null);
  const mood = useMood();
  const model = hero?.model;
  const done = format.known(hero?.xp) ? hero.xp % STEPS_PER_LEVEL : null;
  return html`
    <section class="card hero" id="hero" aria-labelledby="hero-name">
      <div class="hero-head">
        <div class="portrait" data-mood-shown=${mood} role="img" aria-label=${words.moods[mood]} title=${words.moods[mood]}>
          <${Picture} rows=${portraitOf(mood)} id="portrait" className="face" />
        </div>
        <div>
          <p class="eyebrow">${words.title}</p>
          <h2 class="clamped" id="hero-name"><bdi>${hero?.name ?? texts.unknown}</bdi></h2>
          <p class="quiet model" id="hero-model"><bdi>${model ? modelText(model) : ""}</bdi></p>
        </div>
        <p class="level">${words.level}<strong id="hero-level">${format.count(hero?.level)}</strong></p>
      </div>
      <${Meter} id="xp-bar" className="xp" value=${done} most=${STEPS_PER_LEVEL} label=${words.xpLabel} text=${xpText(hero)} />
      <p class="xp-text" id="hero-xp">${xpText(hero)}</p>
      <dl class="stats">
        <${Stat} name="atk" value=${format.stat(hero?.atk)} plain=${plainAttack(training)} />
        <${Stat} name="def" value=${format.stat(hero?.def)} plain=${plainDefence(training)} />
        <${Stat} name="acc" value=${format.stat(hero?.acc)} plain=${plainAccuracy(hero)} />
        <${Stat} name="gold" value=${format.count(hero?.gold)} plain=${plainGold(hero)} />
      </dl>
    </section>
  `;
}

function useMood() {
  const state = useRealm(shownState);
  return useRealm(({ snapshot }) => moodOf(state, snapshot));
}

function Stat({ name, value, plain }) {
  return html`
    <div>
      <dt>${words[name]}</dt>
      <dd id="stat-${name}">${value}</dd>
      <dd class="plain" id="plain-${name}">${plain}</dd>
    </div>
  `;
}

// What is not known yet, as before the model is loaded, is left out.
function modelText({ name, parameters, device }) {
  const size = format.known(parameters) && words.parameters(format.parameters(parameters));
  return [name, size, device && words.device(device)].filter(Boolean).join(", ");
}

function xpText(hero) {
  if (!format.known(hero?.xp)) return words.xpUnknown;
  const missing = STEPS_PER_LEVEL - (hero.xp % STEPS_PER_LEVEL);
  return words.xp(format.count(hero.xp), format.count(missing), format.count(hero.level + 1));
}

function plainAttack(training) {
  return format.known(training?.loss) ? words.plain.atk(format.loss(training.loss)) : words.plain.noLoss;
}

function plainDefence(training) {
  const loss = training?.validation_loss;
  return format.known(loss) ? words.plain.def(format.loss(loss)) : words.plain.noValidation;
}

function plainAccuracy(hero) {
  return format.known(hero?.acc) ? words.plain.acc(format.percent(hero.acc, 1)) : words.plain.noAcc;
}

function plainGold(hero) {
  if (!format.known(hero?.gold)) return words.plain.noGold;
  const quests = hero.gold / GOLD_PER_QUEST;
  return words.plain.gold(format.count(quests), quests === 1);
}
