// Requests to this site. A failure of any kind becomes an Error whose message people can read (F16).

import { texts } from "./texts.js";

const TIMEOUT_MS = 5000;
const UNAUTHORIZED = 401;

export async function request(path, options = {}) {
  let response;
  let text;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
    text = await response.text();
  } catch (error) {
    throw new Error(error.name === "TimeoutError" ? texts.away.silent : texts.away.unreachable);
  }
  if (response.status === UNAUTHORIZED) {
    // The session has ended, or the realm began anew: the form brings people back here.
    location.assign("/login");
    throw new Error(texts.away.loggedOut);
  }
  const body = parse(text);
  if (response.ok && body !== null) return body;
  throw new Error(typeof body?.message === "string" ? body.message : texts.away.garbled(response.status));
}

export function post(path, body) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
