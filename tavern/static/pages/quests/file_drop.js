// Files are taken wherever they are dropped on this page, or chosen by a button; the gates look at them before they go in.

import { html, useLayoutEffect, useRef, useState } from "../../preact.js";
import { Icon } from "../../parts/icons.js";
import { texts } from "../../texts.js";
import { Verdicts } from "./verdicts.js";

const words = texts.quests.upload;
const KINDS = ".jsonl,.json,.gz,.zst";
let take = () => {};
let lane = null;

// The lane that files are held over: where they would wait. Null for any other place of the page.
export function chooseLane(over) {
  lane = over;
}

export function FileDrop({ most, children }) {
  const [files, setFiles] = useState([]);
  const [isOver, setOver] = useState(false);
  const [priority, setPriority] = useState("normal");
  const [isRefused, setRefused] = useState(false);
  const round = useRef(0);
  take = (chosen, wanted = null) => {
    if (chosen.length === 0) return;
    // In place of those that are shown they would end what is being uploaded.
    if (files.length > 0) {
      setRefused(true);
      return;
    }
    round.current += 1;
    setPriority(wanted ?? "normal");
    setFiles(chosen);
  };
  const close = () => {
    setFiles([]);
    setRefused(false);
  };
  // With the board: a file that is let go over it any sooner would be opened by the browser, in place of this page.
  useLayoutEffect(() => {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const over = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
      if (!event.target.closest?.(".lane")) chooseLane(null);
    };
    const leave = (event) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault(); // or the browser opens the file in place of this page
      setOver(false);
      take(droppedFiles(event.dataTransfer), lane);
    };
    const handlers = { dragenter: over, dragover: over, dragleave: leave, drop };
    for (const [kind, handler] of Object.entries(handlers)) addEventListener(kind, handler);
    return () => {
      for (const [kind, handler] of Object.entries(handlers)) removeEventListener(kind, handler);
    };
  }, []);
  return html`
    ${children}
    <div class="drop-veil" hidden=${!isOver} aria-hidden="true"><p>${words.drop}</p></div>
    ${files.length > 0 && html`<${Verdicts} key=${round.current} files=${files} most=${most} first=${priority} note=${isRefused ? words.oneAfterTheOther : null} onClose=${close} />`}
  `;
}

export function AddFiles() {
  const input = useRef();
  const chosen = () => {
    take([...input.current.files]);
    input.current.value = ""; // the same files may be chosen again
  };
  return html`
    <div class="add-files">
      <span class="quiet">${words.hint}</span>
      <button type="button" id="add-files" onClick=${() => input.current.click()}><${Icon} name="add" /> ${words.add}</button>
      <input type="file" id="chosen-files" ref=${input} multiple accept=${KINDS} hidden onChange=${chosen} />
    </div>
  `;
}

// A folder comes as a file that cannot be read: it is told of as what it is.
function droppedFiles(transfer) {
  const folders = new Set();
  for (const [index, item] of [...(transfer.items ?? [])].filter(({ kind }) => kind === "file").entries()) {
    if (item.webkitGetAsEntry?.()?.isDirectory) folders.add(index);
  }
  return [...transfer.files].map((file, index) => (folders.has(index) ? { name: file.name, size: 0, isFolder: true } : file));
}
