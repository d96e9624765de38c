// What the gates say of each file, before any of them goes into the inbox.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../preact.js";
import * as format from "../../format.js";
import { request } from "../../link/request.js";
import { Breakable } from "../../parts/breakable.js";
import { texts } from "../../texts.js";
import { PRIORITIES } from "./acting.js";
import { Findings } from "./findings.js";
import { Histogram } from "./inspector/histogram.js";
import { bytes } from "./naming.js";

const NAMES = /^[^/.~#\x00-\x1f\x7f][^/\x00-\x1f\x7f]*\.jsonl?(\.gz|\.zst)?$/;
const LONGEST_MS = 15 * 60 * 1000;
const words = texts.quests.upload;
const shapes = texts.quests.numbers;

export function Verdicts({ files, most, first, note, onClose }) {
  const [told, setTold] = useState(() => files.map(() => ({ state: "waits" })));
  const [priority, setPriority] = useState(first);
  const [isPutting, setPutting] = useState(false);
  const dialog = useRef();
  const ended = useRef(new AbortController());
  const tell = (index, news) => setTold((old) => old.map((each, at) => (at === index ? { ...each, ...news } : each)));

  useLayoutEffect(() => {
    dialog.current.showModal();
    inTurn(files, told, "waits", (index) => judge(files[index], most, ended.current.signal, (news) => tell(index, news)));
    return () => ended.current.abort();
  }, []);

  useEffect(() => {
    if (!isPutting) return undefined;
    const warn = (event) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isPutting]);

  const good = told.filter(({ state }) => state === "accepted").length;
  const isLooking = told.some(({ state }) => state === "waits" || state === "looking");
  const isDone = !isLooking && good === 0 && !isPutting;
  const put = async (event) => {
    event.preventDefault();
    setPutting(true);
    await inTurn(files, told, "accepted", (index) => putDown(files[index], priority, ended.current.signal, (news) => tell(index, news)));
    setPutting(false);
  };
  return html`
    <dialog class="verdicts" ref=${dialog} aria-labelledby="verdicts-title" onClose=${onClose}>
      <form method="dialog" onSubmit=${isDone ? null : put}>
        <h2 id="verdicts-title">${words.title}</h2>
        <p class="for-readers" role="status">${isLooking ? words.looking : ""}</p>
        ${note && html`<p class="bad" role="alert">${note}</p>`}
        <ol class="verdict-list">
          ${files.map((file, index) => html`<${Verdict} key=${index} file=${file} told=${told[index]} />`)}
        </ol>
        ${good > 0 && html`<${Priorities} chosen=${priority} onChoose=${setPriority} />`}
        <menu>
          <li><button type="button" onClick=${() => dialog.current.close()}>${isDone ? words.close : words.cancel}</button></li>
          ${!isDone && html`<li><button id="put-down" class="chosen" disabled=${isLooking || isPutting || good === 0}>${words.put(format.count(good), good === 1)}</button></li>`}
        </menu>
      </form>
    </dialog>
  `;
}

function Priorities({ chosen, onChoose }) {
  return html`
    <fieldset class="priorities">
      <legend>${words.priority}</legend>
      ${PRIORITIES.map(
        (each) => html`
          <label key=${each}>
            <input type="radio" name="priority" value=${each} checked=${each === chosen} onChange=${() => onChoose(each)} />
            ${texts.quests.lanes[each]}
          </label>
        `,
      )}
    </fieldset>
  `;
}

function Verdict({ file, told: { state, verdict, why, name } }) {
  const numbers = verdict?.numbers ?? null;
  return html`
    <li class="verdict" data-state=${state}>
      <div class="verdict-head">
        <h3><${Breakable} text=${name ?? file.name} /></h3>
        <p class="verdict-state">${words[state] ?? state}</p>
      </div>
      <p class="quiet">${bytes(file.size)}${verdict?.format && `, ${words.shape(format.count(verdict.rows), verdict.format)}`}</p>
      ${why && html`<p class="bad"><bdi>${why}</bdi></p>`}
      ${numbers && html`<${Measured} numbers=${numbers} />`}
      ${verdict?.accepted && numbers === null && html`<p class="quiet">${words.unmeasured}</p>`}
      ${verdict && html`<${Findings} errors=${verdict.errors} totalErrors=${verdict.total_errors} warnings=${verdict.warnings} totalWarnings=${verdict.total_warnings} />`}
    </li>
  `;
}

function Measured({ numbers }) {
  const { tokens, duplicates, near_duplicates: near, histogram } = numbers;
  const pairs = [
    [shapes.median, format.count(tokens?.length.median)],
    [shapes.longest, format.count(tokens?.longest)],
    [shapes.truncated, format.count(tokens?.rows_truncated)],
    [shapes.duplicates, format.count(duplicates)],
    near && [shapes.near, format.count(near.like_earlier_quests)],
  ].filter(Boolean);
  return html`
    <dl class="verdict-facts">
      ${pairs.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>
    ${histogram && html`<${Histogram} histogram=${histogram} />`}
    ${tokens && html`<p class="quiet">${shapes.lookedAt}: ${tokens.looked_at}</p>`}
  `;
}

// One file after the other, those that are in a state when it begins.
async function inTurn(files, told, state, work) {
  for (const index of files.keys()) if (told[index].state === state) await work(index);
}

async function judge(file, most, signal, tell) {
  if (file.isFolder) return tell({ state: "rejected", why: words.folder });
  if (!NAMES.test(file.name)) return tell({ state: "rejected", why: words.badName });
  if (most !== null && file.size > most) return tell({ state: "rejected", why: words.tooLarge(bytes(file.size), bytes(most)) });
  tell({ state: "looking" });
  try {
    const verdict = await send("validate", file, "", signal);
    return tell({ state: verdict.accepted ? "accepted" : "rejected", verdict });
  } catch (error) {
    return signal.aborted ? undefined : tell({ state: "rejected", why: error.message });
  }
}

async function putDown(file, priority, signal, tell) {
  tell({ state: "putting" });
  try {
    const { file: name } = await send("upload", file, `&priority=${priority}`, signal);
    tell({ state: "lies", name, verdict: null });
  } catch (error) {
    if (!signal.aborted) tell({ state: "rejected", why: error.message });
  }
}

function send(where, file, further, signal) {
  return request(`/api/quests/${where}?name=${encodeURIComponent(file.name)}${further}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: file,
    timeout: LONGEST_MS,
    signal,
  });
}
