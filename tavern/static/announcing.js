// Notifications of the browser: what people have asked for, once each, however many tabs are open.

import { listen, realmTime } from "./link/realm.js";
import { noticeOf } from "./notices.js";
import { texts } from "./texts.js";

export const KINDS = ["quest", "level", "trouble"];

const WISHES = "realm-announce";
const ANNOUNCED = "realm-announced";
// A laptop that wakes up after days is not told of all that time.
const OLD_MS = 3_600_000;
// What one tab writes down, another reads some time later, and a lock is no fence for it: until all must have heard of an
// event, the lock itself says that it was told.
const HELD_MS = 60_000;
// Of a storm, such as ten thousand files that are refused, the first so many of a minute are told.
const HELD_AT_MOST = 50;
const FORGET_MS = 60_000;

let isRefused = false;
let held = 0;
let forgotAt = -Infinity;

// Notifications, and the locks that keep tabs from each telling the same, are there for https and localhost only; and
// some browsers of phones have them, but let no page make one.
export function isPossible() {
  return !isRefused && "Notification" in globalThis && "locks" in navigator;
}

export function isAllowed() {
  return isPossible() && Notification.permission === "granted";
}

export function isDenied() {
  return isPossible() && Notification.permission === "denied";
}

export function isWanted(kind) {
  return isAllowed() && read(WISHES, {})[kind] === true;
}

// To be called on a click: the browser asks then, and at no other time. Returns whether it is so now.
export async function want(kind, wanted) {
  if (wanted && !isAllowed() && (await Notification.requestPermission()) !== "granted") return false;
  if (wanted && !canMake()) return false;
  write(WISHES, { ...read(WISHES, {}), [kind]: wanted });
  return wanted;
}

export function startAnnouncing() {
  if (!isPossible()) return;
  listen((event) => {
    const kind = noticeOf(event);
    if (kind !== null && isWanted(kind) && realmTime() - Date.parse(event.at) < OLD_MS) announce(event);
  });
}

function announce(event) {
  // Ids begin anew with a new database: the time makes an event one of a kind.
  const key = `${ANNOUNCED} ${event.at} ${event.id}`;
  return navigator.locks.request(key, { ifAvailable: true }, (lock) => {
    if (lock === null || held >= HELD_AT_MOST || read(key, false)) return undefined;
    forgetOldOnes();
    write(key, true);
    const shown = make({ body: event.message, tag: key, icon: "/static/crest.png" });
    if (shown !== null) {
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
    }
    held += 1;
    return new Promise((done) => setTimeout(done, HELD_MS)).then(() => (held -= 1));
  });
}

// Nobody is told of anything so old, and it need not be known that it was told.
function forgetOldOnes() {
  if (performance.now() - forgotAt < FORGET_MS) return;
  forgotAt = performance.now();
  try {
    for (const key of Object.keys(localStorage)) {
      const [name, at] = key.split(" ");
      if (name === ANNOUNCED && !(realmTime() - Date.parse(at) < OLD_MS)) localStorage.removeItem(key);
    }
  } catch {
    // Storage is forbidden: there is nothing to forget.
  }
}

// Null where the browser lets no page make any: Chrome on Android has them for service workers alone.
function make(options) {
  try {
    return new Notification(texts.title, options);
  } catch {
    isRefused = true;
    return null;
  }
}

// Nothing but trying tells.
function canMake() {
  make({ silent: true, tag: ANNOUNCED })?.close();
  return !isRefused;
}

function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: it holds for this page alone.
  }
}
