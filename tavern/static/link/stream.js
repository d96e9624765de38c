// The page's link to the realm: one snapshot, then the event stream; again from the start when either breaks.

import { request } from "./request.js";

const RETRY_MS = 2000;
const REFRESH_MS = 1000;
const SILENCE_MS = 20000;

export class Link {
  // The four callbacks: onSnapshot(snapshot, asked, isFirst), onProgress(frame), onEvent(event), onAway(message); `asked`
  // is when the snapshot was asked for, by performance.now(); the first is that of a new connection or database.
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.source = null;
    this.refreshTimer = null;
    this.retryTimer = null;
    this.refreshing = false;
    this.refreshWanted = false;
    this.lastRefresh = 0;
    this.lastHeard = 0;
    this.openedAt = 0;
    this.streamedAt = 0; // when the stream itself was last heard
    this.isBeginning = true;
  }

  start() {
    this.connect();
    // A stream can die without a word (sleep, a dropped tunnel): silence is answered by a question.
    setInterval(() => {
      if (this.source !== null && isLongAgo(this.lastHeard)) this.refresh();
    }, SILENCE_MS / 4);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.source !== null) this.refreshSoon();
    });
  }

  async connect() {
    this.retryTimer = null;
    // Whichever answer comes first is the first of this connection, also one that was asked for otherwise.
    this.isBeginning = true;
    try {
      const asked = performance.now();
      const snapshot = await request("/api/game");
      this.heard();
      this.callbacks.onSnapshot(snapshot, asked, true);
      this.isBeginning = false;
      this.listen(snapshot.last_event_id);
    } catch (error) {
      this.lose(error);
    }
  }

  listen(lastEventId) {
    const query = Number.isInteger(lastEventId) ? `?last_event_id=${lastEventId}` : "";
    this.drop();
    const source = new EventSource(`/api/events/stream${query}`);
    this.source = source;
    this.openedAt = Date.now();
    this.streamedAt = Date.now();
    source.addEventListener("open", () => this.streamed());
    source.addEventListener("message", (message) => {
      this.streamed();
      this.callbacks.onEvent(JSON.parse(message.data));
      this.refreshSoon();
    });
    source.addEventListener("progress", (message) => {
      this.streamed();
      this.callbacks.onProgress(JSON.parse(message.data));
    });
    source.addEventListener("reset", () => {
      this.isBeginning = true;
      this.refreshSoon();
    });
    source.addEventListener("error", () => {
      // Taken into our own hands: the snapshot must come before the stream again.
      this.drop();
      // One that ends at once was refused, as when there are too many viewers: asking faster helps nobody.
      this.retry(Date.now() - this.openedAt > RETRY_MS ? 0 : RETRY_MS);
    });
  }

  // Take a new snapshot, at most once a second.
  refreshSoon() {
    if (this.refreshTimer !== null) return;
    // At most so long, also where the clock of this computer has been set back.
    const wait = Math.min(REFRESH_MS, Math.max(0, this.lastRefresh + REFRESH_MS - Date.now()));
    this.refreshTimer = setTimeout(() => {
      this.refreshTimer = null;
      this.refresh();
    }, wait);
  }

  async refresh() {
    if (this.refreshing) {
      this.refreshWanted = true;
      return;
    }
    this.refreshing = true;
    this.lastRefresh = Date.now();
    const { source } = this;
    // Behind a long silence the realm may be one with another database.
    const isFirst = this.isBeginning || (source !== null && isLongAgo(this.streamedAt));
    this.isBeginning = false;
    try {
      const asked = performance.now();
      const snapshot = await request("/api/game");
      this.heard();
      this.callbacks.onSnapshot(snapshot, asked, isFirst);
      this.listenAnew(snapshot.last_event_id);
    } catch (error) {
      // Left behind by a connection that broke: the realm is heard by another one.
      if (this.source === null || this.source === source) this.lose(error);
    } finally {
      this.refreshing = false;
    }
    if (this.refreshWanted) {
      this.refreshWanted = false;
      this.refreshSoon();
    }
  }

  // A stream that has told nothing for long has died without a word: the realm's heart is heard in it every few seconds.
  listenAnew(lastEventId) {
    if (this.source !== null && isLongAgo(this.streamedAt)) this.listen(lastEventId);
  }

  streamed() {
    this.streamedAt = Date.now();
    this.heard();
  }

  heard() {
    this.lastHeard = Date.now();
  }

  lose(error) {
    this.drop();
    this.callbacks.onAway(error.message);
    this.retry(RETRY_MS);
  }

  drop() {
    this.source?.close();
    this.source = null;
  }

  retry(wait) {
    if (this.retryTimer === null) this.retryTimer = setTimeout(() => this.connect(), wait);
  }
}

// Longer than silence may last. By the clock that goes on while a computer sleeps; it may be set, and then nobody knows.
function isLongAgo(moment) {
  const passed = Date.now() - moment;
  return passed < 0 || passed > SILENCE_MS;
}
