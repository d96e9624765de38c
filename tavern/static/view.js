// Puts the model into the page. Text goes in as text only, and only where it changed.

import { drawLosses } from "./chart.js";
import * as format from "./format.js";
import { drawSprite, foeOf } from "./sprites.js";
import { allows, moodOf, stateOf } from "./states.js";
import { texts } from "./texts.js";

const LANES = ["inbox", "high", "normal", "low", "processing", "awaiting_seal", "completed", "failed"];
const STEPS_PER_LEVEL = 1000;
const HIT_EVERY_MS = 900;

const byId = (id) => document.getElementById(id);
let lastRows = { quest: null, rows: null, hitAt: 0 };

export function fillTexts() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = textAt(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", textAt(element.dataset.label));
  }
  for (const button of document.querySelectorAll("[data-action]")) {
    button.textContent = texts.controls[button.dataset.action];
    button.title = texts.controls.explain[button.dataset.action];
  }
}

function textAt(path) {
  const text = path.split(".").reduce((place, key) => place?.[key], texts);
  if (typeof text !== "string") throw new Error(`texts.js has no text at ${path}`);
  return text;
}

// `model` is {link: "connecting" | "open" | "away", awayReason, snapshot}.
export function render({ link, awayReason, snapshot }) {
  const reported = snapshot?.realm?.state ?? "unknown";
  const state = link === "open" ? stateOf(reported) : link;
  document.body.dataset.mood = moodOf(state);
  document.body.dataset.link = link;
  showState(state, link === "open" ? snapshot : null);
  showAway(link === "away" ? texts.away.banner(awayReason, snapshot && format.time(snapshot.timestamp)) : null);
  showControls(state, snapshot?.quest ?? null);
  setText("as-of", format.time(snapshot?.timestamp));
  byId("as-of").dateTime = snapshot?.timestamp ?? "";
  showBattle(state, snapshot);
  showHero(snapshot);
  drawLosses(byId("chart"), byId("loss-caption"), snapshot?.loss ?? [], snapshot?.validation ?? []);
  for (const lane of LANES) setText(`lane-${lane}`, format.count(snapshot?.queue?.[lane]));
  byId("lane-failed").classList.toggle("bad", snapshot?.queue?.failed > 0);
  showLeftLying(snapshot?.inbox);
  showCheckpoint(snapshot?.checkpoint);
  showLog(snapshot?.events ?? []);
  setText("version", snapshot?.realm?.version ? texts.version(snapshot.realm.version) : "");
}

function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

function setMeter(id, value, most, text) {
  const element = byId(id);
  const share = format.known(value) && format.known(most) && most > 0 ? Math.min(1, Math.max(0, value / most)) : null;
  element.classList.toggle("is-unknown", share === null);
  element.firstElementChild.style.inlineSize = `${100 * (share ?? 0)}%`;
  for (const [name, shown] of [["aria-valuenow", value], ["aria-valuemax", most], ["aria-valuetext", text]]) {
    if (share === null) element.removeAttribute(name);
    else element.setAttribute(name, shown);
  }
}

function showState(state, snapshot) {
  setText("state", texts.states[state]);
  const { reason, since } = snapshot?.realm ?? {};
  setText("state-reason", [reason, since && texts.since(format.time(since))].filter(Boolean).join(", "));
}

function showAway(banner) {
  byId("away").hidden = banner === null;
  setText("away", banner ?? "");
}

function showControls(state, quest) {
  const buttons = [...document.querySelectorAll("[data-action]")];
  const focused = document.activeElement;
  for (const button of buttons) button.disabled = !allows(state, button.dataset.action, quest !== null);
  // A button that disables itself would drop the keyboard's place in the page.
  if (buttons.includes(focused) && focused.disabled) buttons.find((button) => !button.disabled)?.focus();
}

function showBattle(state, snapshot) {
  const quest = snapshot?.quest ?? null;
  const left = quest && format.known(quest.rows_total - quest.rows_done) ? quest.rows_total - quest.rows_done : null;
  const rowsLeft = quest ? texts.battle.rowsLeft(format.count(left)) : "";
  const share = quest ? format.percent(quest.rows_done, quest.rows_total) : "";
  const isKnown = snapshot !== null && snapshot.realm?.state !== "unknown";
  const foe = quest ? foeOf(quest.rows_total) : isKnown ? "campfire" : null;
  document.body.classList.toggle("has-quest", quest !== null);
  const coming = quest === null && isKnown && waitingQuests(snapshot) > 0;
  setText("battle-eyebrow", quest || !isKnown ? texts.battle.title : texts.battle.rest);
  setText("quest-name", quest?.file ?? (!isKnown ? texts.unknown : texts.battle[coming ? "nextQuest" : "noQuest"]));
  setText("battle-hint", texts.battle.hints[hintOf(state, quest, coming)] ?? "");
  setText("percent", share);
  setText("rows-left", rowsLeft);
  setText("plate-foe", quest ? texts.foes[foe] : "");
  drawSprite(byId("sprite-foe"), foe);
  drawSprite(byId("sprite-hero"), "hero");
  setMeter("health", left, quest?.rows_total, rowsLeft);
  showFacts(quest);
  showHit(quest);
  document.title = quest ? `${texts.battle.tab(share, quest.file)} – ${texts.title}` : texts.title;
}

function waitingQuests({ queue }) {
  return ["inbox", "high", "normal", "low", "processing"].reduce((sum, lane) => sum + (queue?.[lane] ?? 0), 0);
}

function hintOf(state, quest, coming) {
  if (state === "training" && quest?.replaying) return "replaying";
  return state === "idle" && coming ? "coming" : state;
}

function showFacts(quest) {
  byId("facts").hidden = quest === null;
  setText("fact-rows", texts.battle.of(format.count(quest?.rows_done), format.count(quest?.rows_total)));
  setText("fact-step", texts.battle.of(format.count(quest?.step), format.count(quest?.steps)));
  setText("fact-epoch", texts.battle.of(format.count(quest?.epoch), format.count(quest?.epochs)));
  setText("fact-loss", format.loss(quest?.loss));
  setText("fact-rate", format.rate(quest?.learning_rate));
  setText("fact-speed", format.count(quest?.tokens_per_sec));
  setText("fact-eta", format.duration(quest?.eta_seconds));
}

// The rows learned since the last blow fly off the enemy.
function showHit(quest) {
  const now = Date.now();
  if (quest === null || quest.quest_id !== lastRows.quest) {
    lastRows = { quest: quest?.quest_id ?? null, rows: quest?.rows_done ?? null, hitAt: now };
    return;
  }
  const rows = quest.rows_done - lastRows.rows;
  if (!(rows > 0) || now - lastRows.hitAt < HIT_EVERY_MS) return;
  lastRows = { ...lastRows, rows: quest.rows_done, hitAt: now };
  setText("hit", texts.battle.hit(`−${format.count(rows)}`));
  for (const id of ["hit", "sprite-foe", "sprite-hero"]) {
    const element = byId(id);
    element.classList.remove("struck");
    element.getBoundingClientRect(); // the animation starts anew only after a layout without the class
    element.classList.add("struck");
  }
}

function showHero(snapshot) {
  const hero = snapshot?.hero;
  const { hero: words } = texts;
  const level = format.count(hero?.level);
  const name = hero?.name ?? texts.unknown;
  drawSprite(byId("portrait"), "hero");
  setText("hero-name", name);
  setText("plate-hero", hero ? texts.battle.hero(name, level) : "");
  setText("hero-level", level);
  const brain = hero?.model;
  setText("hero-model", brain ? modelText(brain) : texts.unknown);
  const inLevel = format.known(hero?.xp) ? hero.xp % STEPS_PER_LEVEL : null;
  const missing = format.count(inLevel === null ? null : STEPS_PER_LEVEL - inLevel);
  const xp = inLevel === null ? words.xpUnknown : words.xp(format.count(hero.xp), missing, format.count(hero.level + 1));
  setText("hero-xp", xp);
  setMeter("xp-bar", inLevel, STEPS_PER_LEVEL, xp);
  for (const key of ["atk", "def"]) setText(`stat-${key}`, format.stat(hero?.[key]));
  setText("stat-acc", format.known(hero?.acc) ? format.stat(hero.acc) : texts.unknown);
  setText("stat-gold", format.count(hero?.gold));
  showPlainStats(hero, snapshot?.training, words.plain);
}

function modelText({ name, parameters, device }) {
  return texts.hero.model(name ?? texts.unknown, format.parameters(parameters), device ?? texts.unknown);
}

function showPlainStats(hero, training, words) {
  const { loss, validation_loss: validation } = training ?? {};
  const quests = format.known(hero?.gold) ? hero.gold / 100 : null;
  setText("plain-atk", format.known(loss) ? words.atk(format.loss(loss)) : words.noLoss);
  setText("plain-def", format.known(validation) ? words.def(format.loss(validation)) : words.noValidation);
  setText("plain-acc", format.known(hero?.acc) ? words.acc(format.stat(hero.acc)) : words.noAcc);
  setText("plain-gold", quests === null ? words.noGold : words.gold(format.count(quests), quests === 1));
}

// What is dropped and not taken would else lie there for ever without a word.
function showLeftLying(inbox) {
  const { board: words } = texts;
  const { left_lying: count, named = [], blocked = null } = inbox ?? {};
  const lines = named.map(({ file, reason }) => words.leftFile(file, reason));
  if (count > named.length) lines.push(words.leftMore(format.count(count - named.length)));
  byId("blocked").hidden = blocked === null;
  setText("blocked", blocked ?? "");
  byId("left-lying").hidden = lines.length === 0;
  setText("left-title", words.left(format.count(count), count === 1));
  const list = byId("left");
  if (lines.join("\n") === [...list.children].map((item) => item.textContent).join("\n")) return;
  list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}

function showCheckpoint(checkpoint) {
  const latest = checkpoint?.latest ?? null;
  const kept = checkpoint?.count;
  byId("checkpoint-facts").hidden = latest === null;
  setText("vault-count", format.known(kept) ? texts.vault.count(format.count(kept), kept === 1) : "");
  setText("checkpoint-name", latest ? (latest.name ?? texts.unknown) : checkpoint ? texts.vault.none : texts.unknown);
  setText("checkpoint-step", format.count(latest?.step));
  setText("checkpoint-loss", format.loss(latest?.train_loss));
  setText("checkpoint-size", format.size(latest?.size_gb));
  setText("checkpoint-saved", format.time(latest?.saved_at));
}

// Newest first; an entry that is there stays the same element, so that a selection or a scroll is not lost.
function showLog(events) {
  const list = byId("log");
  const wanted = [...events].reverse();
  const shown = new Map([...list.children].map((item) => [item.dataset.id, item]));
  const items = wanted.map((event) => shown.get(String(event.id)) ?? logItem(event));
  if (items.length === 0) items.push(shown.get("none") ?? emptyLog());
  if (items.length !== list.children.length || items.some((item, index) => item !== list.children[index])) {
    list.replaceChildren(...items);
  }
}

function logItem({ id, at, kind, message }) {
  const item = document.createElement("li");
  const moment = document.createElement("time");
  const words = document.createElement("span");
  item.dataset.id = String(id);
  item.dataset.kind = kind;
  moment.dateTime = at;
  moment.textContent = format.time(at);
  words.textContent = message;
  item.append(moment, words);
  return item;
}

function emptyLog() {
  const item = document.createElement("li");
  item.dataset.id = "none";
  item.textContent = texts.log.none;
  return item;
}

export function showAnswer(message, good) {
  setText("answer", message);
  byId("answer").classList.toggle("bad", !good);
}

// Resolves to true when the user confirms to give up the quest.
export function askToSkip(quest) {
  const dialog = byId("confirm");
  setText("confirm-title", texts.confirm.title(quest?.file ?? texts.unknown));
  setText("confirm-text", texts.confirm.text(format.count(quest?.rows_done), format.count(quest?.rows_total)));
  setText("confirm-yes", texts.confirm.yes);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
