// Asking for what cannot be taken back: first what it comes to, then, when the answer is yes, with its very name.

import { html } from "../../preact.js";
import { post } from "../../link/request.js";
import { ask } from "../../parts/dialog.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";

const words = texts.checkpoint.actions;
// A dry run may read all of a checkpoint, and a deletion unlink gigabytes.
const LONG_MS = 600000;

// Posts; what goes wrong is told. Returns the answer, or null.
export async function begin(path, body) {
  try {
    return await post(path, body, { timeout: LONG_MS });
  } catch (error) {
    toast({ kind: "trouble", text: words.failed(error.message) });
    return null;
  }
}

// `told` is a dry run, `labels` are the words of its button, `body` stands below its text. Resolves to whether it is
// wanted; what cannot be done is only told.
export async function agree({ told, labels, name, isPossible, body = null }) {
  const text = html`<p class="dry-run" id="dry-run" tabindex="0">${told.text}</p>`;
  const title = labels.title(name);
  if (!isPossible) {
    await ask({ title, body: text, yes: words.cannot, no: null });
    return false;
  }
  return ask({ title, body: html`${text}${body}`, yes: labels.yes, serious: true });
}
