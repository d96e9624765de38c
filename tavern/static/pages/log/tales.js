// The tales of the battle log: pages of them from the server, newest first, and those that happen while one looks.

import { useEffect, useLayoutEffect, useRef, useState } from "../../preact.js";
import { listen, useRealm } from "../../link/realm.js";
import { request } from "../../link/request.js";

const TOGETHER = 60;
// A tab that stays open for days would hold, and draw, each tale of them.
const TALES_AT_MOST = 600;
// As long as somebody reads far down, so many more: the page may also have been left like that.
const MORE_AT_MOST = 2400;
const AGAIN_MS = 1000;
// After an answer that failed: the next event may be days away.
const RETRY_MS = 10_000;
const NOTHING = { tales: [], next: null, isKnown: false, error: null, asking: false };

// `{tales, next, isKnown, error, asking, older}` of a `category` ("" for all) and `words`; `next` null when the list is
// whole. Lists of another choice are never shown.
export function useTales(category, words) {
  const [state, setState] = useState(NOTHING);
  const isOpen = useRealm(({ link }) => link === "open");
  const teller = useRef(null);

  useLayoutEffect(() => {
    setState(NOTHING);
    teller.current = new Teller(category, words, (change) => setState((old) => ({ ...old, ...change(old) })));
    const stopListening = listen(() => teller.current.askSoon());
    return () => {
      stopListening();
      teller.current.end();
    };
  }, [category, words]);
  // Also when the realm is back: what happened meanwhile is asked for, whatever the stream tells.
  useEffect(() => {
    if (isOpen) teller.current.askSoon();
  }, [isOpen, category, words]);

  return { ...state, older: () => teller.current.older(state.next) };
}

class Teller {
  constructor(category, words, tell) {
    this.query = new URLSearchParams({ limit: TOGETHER, ...(category && { category }), ...(words && { q: words }) });
    this.tell = tell;
    this.timer = null;
    this.isAsking = false;
    this.isWanted = false;
    this.isAskingOlder = false;
    this.olderTold = 0;
    this.lastAsked = -Infinity;
    this.abort = new AbortController();
    this.tell(() => ({ asking: true }));
  }

  // The newest ones, at most once a second, and one answer after the other: a late one would take back what came after it.
  askSoon() {
    if (this.timer !== null || this.abort.signal.aborted) return;
    this.isWanted = this.isAsking;
    if (this.isAsking) return;
    const wait = Math.max(0, this.lastAsked + AGAIN_MS - performance.now());
    this.timer = setTimeout(() => this.askNewest(), wait);
  }

  async askNewest() {
    this.timer = null;
    this.isAsking = true;
    this.lastAsked = performance.now();
    const isTold = await this.ask(this.query, ({ tales, next_before: next }) => (old) => {
      if (scrollY <= 2 * innerHeight) this.olderTold = 0;
      return bounded(joined(tales, next, old), scrollY > 2 * innerHeight, this.olderTold);
    });
    this.isAsking = false;
    if (!isTold) this.lastAsked = performance.now() + RETRY_MS - AGAIN_MS;
    if (this.isWanted || !isTold) this.askSoon();
  }

  async older(before) {
    if (before === null || this.isAskingOlder) return;
    this.isAskingOlder = true;
    this.tell(() => ({ asking: true }));
    const query = new URLSearchParams(this.query);
    query.set("before", before);
    // The list may end elsewhere by the time of the answer, which then leaves a hole, or belongs to what is gone.
    const longer = ({ tales, next_before: next }) => (old) => {
      if (old.next !== before) return {};
      this.olderTold += tales.length;
      return { tales: [...old.tales, ...tales], next };
    };
    try {
      await this.ask(query, longer);
    } finally {
      this.isAskingOlder = false;
    }
  }

  // Whether there was an answer.
  async ask(query, change) {
    try {
      const answer = await request(`/saga?${query}`, { signal: this.abort.signal });
      if (!this.abort.signal.aborted) {
        this.tell((old) => ({ ...change(answer)(old), isKnown: true, error: null, asking: false }));
      }
      return true;
    } catch (error) {
      if (!this.abort.signal.aborted) this.tell(() => ({ error, asking: false }));
      return false;
    }
  }

  end() {
    this.abort.abort();
    clearTimeout(this.timer);
  }
}

// New ones before those that are there; where more has happened than one page tells, or ids begin anew, the new page alone.
export function joined(tales, next, old) {
  const newest = old.tales[0]?.id ?? null;
  const hasGap = newest === null || tales.length === 0 || tales[0].id < newest || (next !== null && tales.at(-1).id > newest);
  if (hasGap) return { tales, next };
  return { tales: [...tales.filter(({ id }) => id > newest), ...old.tales], next: old.next };
}

// The newest of them, and where the rest begins. Nothing is taken from under the eyes of who reads far down, and has
// asked for `older` ones, until thousands more have come.
export function bounded({ tales, next }, isFarDown, older = 0) {
  if (tales.length <= TALES_AT_MOST + (isFarDown ? older + MORE_AT_MOST : 0)) return { tales, next };
  const kept = tales.slice(0, TALES_AT_MOST);
  return { tales: kept, next: kept.at(-1).id };
}
