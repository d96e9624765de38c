// While another page of a list is on its way, the one before it stays: the table does not vanish under the reader's eyes
// and under the keyboard's focus.

import { useRef } from "../preact.js";

// `{…resource, data, isOld}`: with the data of the path before, as long as there are none of this one.
export function useKept(resource) {
  const last = useRef(null);
  if (resource.data !== null) last.current = resource.data;
  return { ...resource, data: last.current, isOld: resource.data === null && last.current !== null };
}
