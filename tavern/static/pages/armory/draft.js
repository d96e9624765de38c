// What is being edited: values that differ from those of the realm, and what the realm says to them.

import { useEffect, useRef, useState } from "../../vendor/preact/standalone.module.js";
import { post } from "../../link/request.js";

const CHECK_MS = 350;
// Who looks at another page finds it again.
let kept = {};

const NO_CHECK = { findings: [], diff: [], changes: [], valid: true };

export function same(first, second) {
  return JSON.stringify(first) === JSON.stringify(second);
}

// `edits` is {name: {value}} or {name: {reset: true}}.
export function useDraft(config) {
  const [edits, setEdits] = useState(kept);
  kept = edits;
  const [check, setCheck] = useState(NO_CHECK);
  const [isChecking, setChecking] = useState(false);
  const latest = useRef(0);
  const count = Object.keys(edits).length;
  const body = bodyOf(edits);

  useEffect(() => {
    const turn = ++latest.current;
    if (count === 0) {
      setCheck(NO_CHECK);
      setChecking(false);
      return undefined;
    }
    setChecking(true);
    const timer = setTimeout(async () => {
      const answer = await post("/config/check", body).catch((error) => ({
        ...NO_CHECK,
        valid: false,
        findings: [{ field: null, message: error.message, severity: "error" }],
      }));
      if (turn !== latest.current) return; // an answer to an older question
      setCheck(answer);
      setChecking(false);
    }, CHECK_MS);
    return () => clearTimeout(timer);
  }, [JSON.stringify(edits), config?.etag]);

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
    check,
    isChecking,
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
