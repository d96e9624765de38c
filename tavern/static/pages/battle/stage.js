// The stage: the hero and the quest, whose health is the rows that are left to learn.

import { html, useEffect, useState } from "../../preact.js";
import * as format from "../../format.js";
import { shownState, useRealm } from "../../link/realm.js";
import { useResource } from "../../link/resource.js";
import { Breakable } from "../../parts/breakable.js";
import { Icon } from "../../parts/icons.js";
import { Facts } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { useBlows } from "./blows.js";
import { Fighters } from "./fighters.js";
import { useHappening } from "./happenings.js";
import { HeadUp } from "./head_up.js";
import { Landscape } from "./landscape.js";
import { Happening } from "./scenes.js";
import { sceneOf } from "./scene_of.js";
import { play, soundIsOn, turnSound } from "./sound.js";
import { trendOf } from "./trend.js";

const LANES_THAT_COME = ["inbox", "high", "normal", "low", "processing"];
const PAST = "/api/series/train_loss?points=200";
const words = texts.battle;

export function Stage() {
  const state = useRealm(shownState);
  const snapshot = useRealm(({ snapshot: newest }) => newest);
  const quest = snapshot?.quest ?? null;
  const isKnown = snapshot !== null && snapshot.realm?.state !== "unknown";
  const isComing = quest === null && isKnown && comingQuests(snapshot) > 0;
  const share = quest ? format.percent(quest.rows_done, quest.rows_total) : "";
  const name = quest?.file ?? (!isKnown ? texts.unknown : words[isComing ? "nextQuest" : "noQuest"]);
  const isAway = state === "away";
  useEffect(() => {
    // Of a tab in the background it is all that one sees.
    const told = isAway ? texts.states.away : quest && words.tab(share, quest.file);
    document.title = told ? `${told} – ${texts.title}` : texts.title;
  }, [share, quest?.file, isAway]);
  return html`
    <section class="card battle ${quest ? "has-quest" : ""}" id="battle" aria-labelledby="quest-name">
      <${Play} state=${state} snapshot=${snapshot} quest=${quest} />
      <div class="battle-head">
        <div>
          <p class="eyebrow" id="battle-eyebrow">${quest || !isKnown ? words.title : words.rest}</p>
          <h2 class="quest-name clamped" id="quest-name" title=${quest?.file}><${Breakable} text=${name} /></h2>
          <p class="hint" id="battle-hint">${words.hints[hintOf(state, quest, isComing)] ?? ""}</p>
        </div>
        <p class="percent" hidden=${quest === null}><strong id="percent">${share}</strong>${words.learned}</p>
      </div>
      ${quest && html`<${QuestFacts} quest=${quest} trend=${trendOf(snapshot.training?.train_loss_history)} />`}
    </section>
  `;
}

function Play({ state, snapshot, quest }) {
  const past = useResource(PAST);
  const lows = past.data?.lows?.filter(format.known) ?? [];
  const struck = useBlows(quest, snapshot?.training ?? null, lows.length > 0 ? Math.min(...lows) : null);
  const happening = useHappening(play);
  const newest = struck.blows.at(-1);
  useEffect(() => {
    if (newest) play(newest.isCritical ? "critical" : "blow");
  }, [newest]);
  const scene = sceneOf(state, quest?.replaying ?? false);
  const trend = trendOf(snapshot?.training?.train_loss_history);
  return html`
    <div class="stage" id="stage" data-place=${scene.place} data-weather=${trend?.name ?? "unknown"} data-moving=${String(scene.isMoving)}>
      <${Landscape} steps=${snapshot?.hero?.xp} trend=${trend?.name} />
      <${HeadUp} hero=${snapshot?.hero ?? null} quest=${quest} />
      <${Fighters} scene=${scene} quest=${quest} struck=${struck} happening=${happening} />
      ${scene.veil && html`<div class="veil ${scene.veil}"></div>`}
      <${Happening} happening=${happening} />
      <${Sound} />
    </div>
  `;
}

function Sound() {
  const [isOn, setOn] = useState(soundIsOn);
  const turn = () => {
    turnSound(!isOn);
    setOn(!isOn);
  };
  return html`
    <button type="button" class="sound" id="sound" aria-pressed=${String(isOn)} title=${words.sound[isOn ? "isOn" : "isOff"]} onClick=${turn}>
      <${Icon} name=${isOn ? "sound" : "silence"} /><span class="unseen">${words.sound.label}</span>
    </button>
  `;
}

function QuestFacts({ quest, trend }) {
  const of = (part, whole) => words.of(format.count(part), format.count(whole));
  return html`<${Facts}
    pairs=${[
      [words.rows, of(quest.rows_done, quest.rows_total), "fact-rows"],
      [words.step, of(quest.step, quest.steps), "fact-step"],
      [words.epoch, of(quest.epoch, quest.epochs), "fact-epoch"],
      [words.loss, format.loss(quest.loss), "fact-loss"],
      [words.trend, trend ? words.changed(format.change(trend.change), trend.steps) : texts.unknown, "fact-trend"],
      [words.learningRate, format.rate(quest.learning_rate), "fact-rate"],
      [words.speed, format.count(quest.tokens_per_sec), "fact-speed"],
      [words.timeLeft, format.duration(quest.eta_seconds), "fact-eta"],
    ]}
  />`;
}

function comingQuests({ queue }) {
  return LANES_THAT_COME.reduce((sum, lane) => sum + (queue?.[lane] ?? 0), 0);
}

function hintOf(state, quest, isComing) {
  if (state === "training" && quest?.replaying) return "replaying";
  return state === "idle" && isComing ? "coming" : state;
}
