// What can be done with a quest. A button asks the realm and says what it answered; what is shown changes when the realm
// tells of it.

import { post } from "../../link/request.js";
import { ask } from "../../parts/dialog.js";
import { toast } from "../../parts/toasts.js";
import { texts } from "../../texts.js";

export const PRIORITIES = ["high", "normal", "low"];
// Events after which quests lie elsewhere, or are told otherwise.
export const QUEST_EVENTS = [
  "quest_accepted", "quest_rejected", "quest_refused", "quest_started", "quest_learned", "quest_skipped", "quest_withdrawn",
  "quest_lost", "quest_sealed", "quest_move", "quest_retry", "quest_remove", "quest_strike", "quests_forgotten",
  "quest_generated", "quest_measuring", "quest_remarks", "inbox_strange", "went_back", "rewound", "trainer_ready",
  "checkpoint_saved",
];

const words = texts.quests;
const nameOf = ({ quest_id: id, file }) => id ?? file;

// The priority above or below that of a quest that waits; null at the end.
export function neighbour(lane, by) {
  return PRIORITIES[PRIORITIES.indexOf(lane) + by] ?? null;
}

export const isWaiting = (lane) => PRIORITIES.includes(lane);
export const isRemovable = (lane) => isWaiting(lane) || lane === "failed";

export function move(quest, priority) {
  return act("move", { quest: nameOf(quest), priority }, words.did.move(quest.file, words.lanes[priority]));
}

export async function retry(quest) {
  const { action, title, text, yes } = words.retry;
  if (await ask({ title: title(quest.file), text, yes })) return act(action.toLowerCase(), { quest: nameOf(quest) }, words.did.retry(quest.file));
  return false;
}

export async function remove(quest) {
  const { action, title, text, yes } = words.remove;
  const sure = await ask({ title: title(quest.file), text, yes, serious: true });
  if (sure) return act(action.toLowerCase(), { quest: nameOf(quest) }, words.did.remove(quest.file));
  return false;
}

async function act(action, body, done) {
  try {
    await post(`/api/quests/${action}`, body);
    toast({ kind: "answer", text: done });
    return true;
  } catch (error) {
    toast({ kind: "trouble", text: words.did.failed(error.message) });
    return false;
  }
}
