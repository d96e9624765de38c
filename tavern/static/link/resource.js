// What a page reads beside the snapshot: asked for once, and again when something happens that changes it.

import { useCallback, useEffect, useRef, useState } from "../preact.js";
import { listen, useRealm } from "./realm.js";
import { request } from "./request.js";

const AGAIN_MS = 1000;
// What failed is asked for again, later each time: the event that would bring it may be weeks away.
const RETRY_MS = 2000;
const RETRY_AT_MOST_MS = 60_000;
const SERVER_ERROR = 500;
const NOTHING = { path: null, data: null, error: null, asking: false };

// `{data, error, asking, refresh}` of `GET path`; `path` null asks for nothing. While it is asked again, and when that
// fails, the data stay what they were; those of another path are never shown. `on` names the kinds of events after which
// it is asked again, at most once a second; so it is when the realm comes back, or events were missed, and a while after
// the server has failed. `timeout` (ms) is for what takes long.
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
    const tell = (news) => setAnswer((old) => ({ ...(old.path === path ? old : { ...NOTHING, path }), ...news }));
    // Of a realm that is away, the stream is the one that asks; and what takes long would keep a busy one busy.
    const asker = new Asker(path, timeout, isOpen && timeout === undefined, tell);
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
  constructor(path, timeout, retries, tell) {
    this.path = path;
    this.timeout = timeout;
    this.retries = retries;
    this.tell = tell;
    this.timer = null;
    this.retryTimer = null;
    this.failures = 0;
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
    clearTimeout(this.retryTimer);
    this.tell({ asking: true });
    try {
      const data = await request(this.path, { signal: this.abort.signal, timeout: this.timeout });
      this.failures = 0;
      if (!this.abort.signal.aborted) this.tell({ data, error: null, asking: false });
    } catch (error) {
      if (!this.abort.signal.aborted) this.fail(error);
    }
    this.isAsking = false;
    if (!this.isWanted) return;
    this.isWanted = false;
    this.askSoon();
  }

  fail(error) {
    this.tell({ error, asking: false });
    // What is refused would be refused again.
    if (!this.retries || error.status < SERVER_ERROR) return;
    const wait = Math.min(RETRY_AT_MOST_MS, RETRY_MS * 2 ** this.failures);
    this.failures += 1;
    // Not all cards of all tabs at once.
    this.retryTimer = setTimeout(() => this.ask(), wait * (0.5 + Math.random() / 2));
  }

  end() {
    this.abort.abort();
    clearTimeout(this.timer);
    clearTimeout(this.retryTimer);
  }
}
