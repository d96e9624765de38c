// The quest board: what waits in which lane, what lies in the inbox, what is over, and how files come in. An address with
// a quest in it is that of the Inspector.

import { html, useEffect, useState } from "../../preact.js";
import { shownState, useRealm } from "../../link/realm.js";
import { useResource } from "../../link/resource.js";
import { QUEST_EVENTS } from "./acting.js";
import { Board } from "./board.js";
import { FileDrop } from "./file_drop.js";
import { History } from "./history.js";
import { InboxCard } from "./inbox_card.js";
import { Inspector } from "./inspector/inspector.js";

const SHOWN_AT_FIRST = 25;
// The realm tells no more of a lane.
const SHOWN_AT_MOST = 500;

export function Page({ parameters: { quest } }) {
  return quest === undefined ? html`<${QuestBoard} />` : html`<${Inspector} key=${quest} quest=${quest} />`;
}

function QuestBoard() {
  const [limit, setLimit] = useState(SHOWN_AT_FIRST);
  const board = useResource(`/api/quests/board?limit=${limit}`, { on: QUEST_EVENTS });
  useChanges(board.refresh);
  const more = limit < SHOWN_AT_MOST ? () => setLimit(Math.min(2 * limit, SHOWN_AT_MOST)) : null;
  return html`
    <${FileDrop} most=${board.data?.upload_bytes ?? null}>
      <div class="column quests">
        <${Board} resource=${board} onMore=${more} />
        <${InboxCard} inbox=${board.data?.inbox ?? null} />
        <${History} />
      </div>
    <//>
  `;
}

// Files are also moved by hand, which no event tells; and whether anything goes on is a matter of the realm's state.
function useChanges(refresh) {
  const counts = useRealm(({ snapshot }) => JSON.stringify([snapshot?.queue, snapshot?.inbox, snapshot?.realm?.reason]));
  const state = useRealm(shownState);
  useEffect(() => refresh(), [counts, state]);
}
