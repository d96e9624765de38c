// Which page the address names, and moving between pages without loading them anew.

import { useLayoutEffect, useState } from "./preact.js";
import { pages } from "./pages.js";

const watchers = new Set();

// `{page, parameters}` of a path, or null when no page has it. `:name` in a path stands for one part of it.
export function pageAt(path) {
  for (const page of pages) {
    for (const pattern of [page.path, ...(page.also ?? [])]) {
      const parameters = match(pattern, path);
      if (parameters !== null) return { page, parameters };
    }
  }
  return null;
}

// Go to an address of this site, as a click on a link to it does.
export function go(address) {
  const from = location.pathname;
  history.pushState(null, "", address);
  for (const watch of [...watchers]) watch();
  scrollTo(0, 0);
  // The link that was followed may be gone with its page: keys and screen readers go on at the head of the new one.
  if (location.pathname !== from) document.getElementById("content")?.focus({ preventScroll: true });
}

// The present address as a URL; a component that uses it is drawn again when that changes.
export function useAddress() {
  const [href, setHref] = useState(location.href);
  useLayoutEffect(() => {
    const watch = () => setHref(location.href);
    watchers.add(watch);
    addEventListener("popstate", watch);
    watch();
    return () => {
      watchers.delete(watch);
      removeEventListener("popstate", watch);
    };
  }, []);
  return new URL(href);
}

// Links to pages of ours are followed here; all others, and those that are to open elsewhere, are the browser's.
export function followLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || pageAt(link.pathname) === null) return;
    if (link.pathname === location.pathname && link.hash) return;
    event.preventDefault();
    go(link.href);
  });
}

function match(pattern, path) {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return null;
  const parameters = {};
  for (const [index, part] of wanted.entries()) {
    if (!part.startsWith(":")) {
      if (part !== given[index]) return null;
      continue;
    }
    if (given[index] === "") return null;
    try {
      parameters[part.slice(1)] = decodeURIComponent(given[index]);
    } catch {
      return null;
    }
  }
  return parameters;
}
