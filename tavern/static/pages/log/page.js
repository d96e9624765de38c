// The battle log: everything that happened, by words and category, live at its head and without end at its foot.

import { html, useEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { useResource } from "../../link/resource.js";
import { Card, Empty, Waiting } from "../../parts/panels.js";
import { texts } from "../../texts.js";
import { Tale } from "./tale.js";
import { useTales } from "./tales.js";

const WAIT_MS = 250;
const CATEGORIES = Object.keys(texts.battleLog.category);

export function Page() {
  const [category, setCategory] = useState(() => named("category"));
  const [typed, setTyped] = useState(() => named("q"));
  const words = useLater(typed.trim());
  const tales = useTales(CATEGORIES.includes(category) ? category : "", words);
  const newest = tales.tales[0]?.id ?? null;
  const stats = useResource("/saga/stats");
  useEffect(() => {
    if (newest !== null && stats.data !== null && newest > stats.data.newest_id) stats.refresh();
  }, [newest, stats.data?.newest_id]);
  useEffect(() => {
    const query = new URLSearchParams({ ...(category && { category }), ...(words && { q: words }) }).toString();
    history.replaceState(null, "", `${location.pathname}${query && `?${query}`}`);
  }, [category, words]);
  return html`
    <${Card} id="battle-log" title=${texts.pages.log} className="tales" aside=${html`<${Shown} tales=${tales.tales} stats=${stats} />`}>
      <form class="tale-search" role="search" onSubmit=${(event) => event.preventDefault()}>
        <label for="tale-words">${texts.battleLog.search}</label>
        <input id="tale-words" type="search" maxlength="200" autocomplete="off" placeholder=${texts.battleLog.placeholder}
          value=${typed} onInput=${(event) => setTyped(event.target.value)} />
      </form>
      <${Categories} chosen=${category} counts=${stats.data} onChoose=${setCategory} />
      <${Waiting} resource=${{ data: tales.isKnown ? tales : null, error: tales.error, asking: tales.asking }} />
      <${Days} tales=${tales.tales} />
      <${Foot} tales=${tales} isChosen=${category !== "" || words !== ""} />
    <//>
  `;
}

function Shown({ tales, stats }) {
  if (stats.data === null) return null;
  return html`<p class="quiet" id="tales-shown">${texts.battleLog.shown(format.count(tales.length), format.count(stats.data.total), stats.data.total === 1)}</p>`;
}

function Categories({ chosen, counts, onChoose }) {
  const button = (name, label, count) => html`
    <button key=${name} type="button" data-category=${name || "all"}
      aria-pressed=${String(name === chosen)} onClick=${() => onChoose(name)}>
      ${label} <span class="chip-count">${format.known(count) ? format.count(count) : ""}</span>
    </button>
  `;
  return html`
    <div class="chips" role="group" aria-label=${texts.battleLog.categories}>
      ${button("", texts.battleLog.all, counts?.total)}
      ${CATEGORIES.map((name) => button(name, texts.battleLog.category[name], counts?.by_category[name]))}
    </div>
  `;
}

// One list a day, so that a date stands once.
function Days({ tales }) {
  const days = [];
  for (const tale of tales) {
    const day = new Date(tale.at).toDateString();
    if (days.at(-1)?.day !== day) days.push({ day, tales: [] });
    days.at(-1).tales.push(tale);
  }
  return html`
    <div id="tales" role="region" aria-label=${texts.battleLog.list}>
      ${days.map(
        ({ day, tales: told }) => html`
          <section key=${day} aria-label=${dayOf(day)}>
            <h3>${dayOf(day)}</h3>
            ${told.map((tale) => html`<${Tale} key=${tale.id} tale=${tale} />`)}
          </section>
        `,
      )}
    </div>
  `;
}

function Foot({ tales, isChosen }) {
  const foot = useRef();
  const older = useRef();
  older.current = tales.older;
  const hasMore = tales.next !== null;
  useEffect(() => {
    if (!hasMore) return undefined;
    const watcher = new IntersectionObserver(([entry]) => entry.isIntersecting && older.current(), { rootMargin: "400px" });
    watcher.observe(foot.current);
    return () => watcher.disconnect();
  }, [hasMore, tales.next, tales.tales.length]);
  if (!tales.isKnown) return null;
  if (tales.tales.length === 0) return html`<${Empty}>${isChosen ? texts.battleLog.nothing : texts.battleLog.none}<//>`;
  return html`
    <div class="tale-foot" ref=${foot}>
      ${hasMore
        ? html`<button type="button" id="older" aria-busy=${tales.asking ? "true" : null} onClick=${tales.older}>${texts.battleLog.older}</button>`
        : html`<p class="quiet">${texts.battleLog.end}</p>`}
    </div>
  `;
}

function dayOf(day) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (day === today.toDateString()) return texts.battleLog.today;
  if (day === yesterday.toDateString()) return texts.battleLog.yesterday;
  return format.day(day);
}

// What was typed, once nothing more is for a moment.
function useLater(text) {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), WAIT_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

function named(key) {
  return new URLSearchParams(location.search).get(key) ?? "";
}
