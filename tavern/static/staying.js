// A page that stays open for months: "today" ends, and the realm that it was loaded from becomes a newer one.

import { useEffect, useRef, useState } from "./preact.js";
import { useRealm } from "./link/realm.js";

const LOOK_MS = 60_000;

let isHeld = false;

// While something is held that loading the page anew would lose.
export function hold(held) {
  isHeld = held;
}

// Draws all of the page anew when another day begins: times of yesterday need their date. Of a newer realm it is loaded
// anew, as its pages do not go together with scripts of an older one; not under the hands of somebody.
export function useStaying(address) {
  const [, setToday] = useState(today);
  const version = useRealm(({ snapshot }) => snapshot?.realm?.version ?? null);
  const loaded = useRef(null);
  loaded.current ??= version;
  const isHeard = useRealm(({ link }) => link === "open");
  // In place of a page of a realm that is away there would be one of the browser, which comes back to nothing.
  const isOld = isHeard && version !== null && version !== loaded.current;
  useEffect(() => {
    const look = () => {
      setToday(today());
      if (isOld && !isBusy()) location.reload();
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [isOld, address]);
}

function today() {
  return new Date().toDateString();
}

function isBusy() {
  return isHeld || document.querySelector("dialog[open], :is(input, select, textarea):focus") !== null;
}
