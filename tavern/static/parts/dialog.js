// One question at a time, asked over the page.

import { html, useLayoutEffect, useRef, useState } from "../preact.js";
import { texts } from "../texts.js";

let show = null;

// Resolves to true when the answer is yes. `text` is a sentence, `body` anything that is drawn below it; `serious` marks
// what cannot be undone. Where `no` is null, nothing is asked: something is told, and closed.
export function ask({ title, text = null, body = null, yes, no = texts.dialog.no, serious = false }) {
  return new Promise((resolve) => show({ title, text, body, yes, no, serious, resolve }));
}

export function DialogHost() {
  const [question, setQuestion] = useState(null);
  const dialog = useRef();
  show = (next) => {
    question?.resolve(false);
    setQuestion(next);
  };
  // With the drawing of its words, not some time after it: an Escape in between would close nothing.
  useLayoutEffect(() => {
    if (question === null || dialog.current.open) return;
    dialog.current.returnValue = "no";
    dialog.current.showModal();
  }, [question]);
  const closed = () => {
    // The news of the closing comes late: the next question may stand there already, and is not answered by it.
    if (dialog.current.open) return;
    question?.resolve(dialog.current.returnValue === "yes");
    setQuestion(null);
  };
  return html`
    <dialog id="confirm" ref=${dialog} aria-labelledby="confirm-title" onClose=${closed}>
      <form method="dialog">
        <h2 id="confirm-title"><bdi>${question?.title}</bdi></h2>
        ${question?.text && html`<p id="confirm-text">${question.text}</p>`} ${question?.body}
        <menu>
          ${question?.no !== null && html`<li><button value="no" autofocus>${question?.no}</button></li>`}
          <li><button value="yes" id="confirm-yes" autofocus=${question?.no === null} class=${question?.serious ? "serious" : "chosen"}>${question?.yes}</button></li>
        </menu>
      </form>
    </dialog>
  `;
}
