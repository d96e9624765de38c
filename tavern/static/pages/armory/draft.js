// What is being edited: values that differ from those of the realm, and what the realm says to them.

import { useEffect, useRef, useState } from "../../preact.js";
import { useRealm } from "../../link/realm.js";
import { post } from "../../link/request.js";
import { hold } from "../../staying.js";

const CHECK_MS = 350;
// Who looks at another page finds it again.
let kept = {};

const NO_CHECK = { findings: [], diff: [], changes: [], valid: true };
const NO_ANSWER = { question: null, check: NO_CHECK };

export function same(first, second) {
  return JSON.stringify(first) === JSON.stringify(second);
}

// `edits` is {name: {value}} or {name: {reset: true}}.
export function useDraft(config) {
  const [edits, setEdits] = useState(kept);
  kept = edits;
  hold(Object.keys(edits).length > 0);
  const [answer, setAnswer] = useState(NO_ANSWER);
  const latest = useRef(0);
  const isOpen = useRealm(({ link }) => link === "open");
  const count = Object.keys(edits).length;
  const body = bodyOf(edits);
  const question = count === 0 ? null : JSON.stringify([edits, config?.etag]);

  useEffect(() => {
    const turn = ++latest.current;
    if (question === null) {
      setAnswer(NO_ANSWER);
      return undefined;
    }
    const timer = setTimeout(async () => {
      const check = await post("/config/check", body).catch((error) => ({
        ...NO_CHECK,
        valid: false,
        findings: [{ field: null, message: error.message, severity: "error" }],
      }));
      if (turn !== latest.current) return; // an answer to an older question
      setAnswer({ question, check });
    }, CHECK_MS);
    return () => clearTimeout(timer);
    // What could not be checked while the realm was away is, once it is back.
  }, [question, isOpen]);

  useEffect(() => {
    if (count === 0) return undefined;
    const warn = (event) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [count > 0]);

  return {
    edits,
    count,
    body,
    check: question === null ? NO_CHECK : answer.check,
    // From the very edit on: what is not checked yet must not look as if it could be saved.
    isChecking: question !== null && answer.question !== question,
    change(setting, value) {
      setEdits((old) => (same(value, setting.value) ? without(old, setting.name) : { ...old, [setting.name]: { value } }));
    },
    reset: (name) => setEdits((old) => ({ ...old, [name]: { reset: true } })),
    takeBack: (name) => setEdits((old) => without(old, name)),
    clear: () => setEdits({}),
    // What was edited anew while it was being saved is not saved yet.
    saved: (sent) => setEdits((old) => Object.fromEntries(Object.entries(old).filter(([name, edit]) => !same(edit, sent[name])))),
  };
}

function without(edits, name) {
  const { [name]: _, ...others } = edits;
  return others;
}

function bodyOf(edits) {
  const changes = {};
  const reset = [];
  for (const [name, edit] of Object.entries(edits)) {
    if (edit.reset) reset.push(name);
    else changes[name] = edit.value;
  }
  return { changes, reset };
}
