// What a page reads beside the snapshot: asked for once, and again when something happens that changes it.

import { useCallback, useEffect, useRef, useState } from "../preact.js";
import { listen, useRealm } from "./realm.js";
import { request } from "./request.js";

const AGAIN_MS = 1000;
const NOTHING = { path: null, data: null, error: null, asking: false };

// `{data, error, asking, refresh}` of `GET path`; `path` null asks for nothing. While it is asked again, and when that
// fails, the data stay what they were; those of another path are never shown. `on` names the kinds of events after which
// it is asked again, at most once a second; so it is when the realm comes back, or events were missed. `timeout` (ms) is for what takes long.
export function useResource(path, { on = [], timeout } = {}) {
  const [answer, setAnswer] = useState(NOTHING);
  const refresh = useRef(() => {});
  const isOpen = useRealm(({ link }) => link === "open");
  const gaps = useRealm((known) => known.gaps);
  const seen = useRef(gaps);
  const kinds = on.join(" ");

  useEffect(() => {
    if (path === null) {
      setAnswer(NOTHING);
      return undefined;
    }
    const asker = new Asker(path, timeout, (news) => {
      setAnswer((old) => ({ ...(old.path === path ? old : { ...NOTHING, path }), ...news }));
    });
    refresh.current = () => asker.askSoon();
    const stopListening = listen(({ kind }) => {
      if (kinds.split(" ").includes(kind)) asker.askSoon();
    });
    asker.ask();
    return () => {
      stopListening();
      asker.end();
    };
  }, [path, kinds, isOpen]);
  // Nobody knows what happened in a gap. What is being asked for goes on: it may take long, and gaps may follow each other.
  useEffect(() => {
    if (seen.current !== gaps) refresh.current();
    seen.current = gaps;
  }, [gaps]);

  const shown = answer.path === path ? answer : { ...NOTHING, asking: path !== null };
  return { ...shown, refresh: useCallback(() => refresh.current(), []) };
}

// One request at a time; news that come during one are asked for after it.
class Asker {
  constructor(path, timeout, tell) {
    this.path = path;
    this.timeout = timeout;
    this.tell = tell;
    this.timer = null;
    this.isAsking = false;
    this.isWanted = false;
    this.lastAsked = -Infinity;
    this.abort = new AbortController();
  }

  askSoon() {
    if (this.timer !== null || this.abort.signal.aborted) return;
    const wait = Math.max(0, this.lastAsked + AGAIN_MS - performance.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      this.ask();
    }, wait);
  }

  async ask() {
    if (this.isAsking) {
      this.isWanted = true;
      return;
    }
    this.isAsking = true;
    this.lastAsked = performance.now();
    this.tell({ asking: true });
    try {
      const data = await request(this.path, { signal: this.abort.signal, timeout: this.timeout });
      if (!this.abort.signal.aborted) this.tell({ data, error: null, asking: false });
    } catch (error) {
      if (!this.abort.signal.aborted) this.tell({ error, asking: false });
    }
    this.isAsking = false;
    if (!this.isWanted) return;
    this.isWanted = false;
    this.askSoon();
  }

  end() {
    this.abort.abort();
    clearTimeout(this.timer);
  }
}
