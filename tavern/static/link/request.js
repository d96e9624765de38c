// Requests to this site. A failure of any kind becomes an Error whose message people can read (F16).

import { texts } from "../texts.js";

const TIMEOUT_MS = 15000;
const UNAUTHORIZED = 401;

// `error.status` is the HTTP status and `error.details` what the server adds to its message; both are missing when no
// answer came.
export async function request(path, options = {}) {
  let response;
  let text;
  try {
    const timeout = AbortSignal.timeout(options.timeout ?? TIMEOUT_MS);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    response = await fetch(path, { cache: "no-store", ...options, signal });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(error.name === "TimeoutError" ? texts.away.silent : texts.away.unreachable);
  }
  if (response.status === UNAUTHORIZED) {
    // The session has ended, or the realm began anew: the form brings people back here.
    location.assign("/login");
    throw new Error(texts.away.loggedOut);
  }
  const body = parse(text);
  if (response.ok && body !== null) return body;
  const message = typeof body?.message === "string" ? body.message : texts.away.garbled(response.status);
  throw Object.assign(new Error(message), { status: response.status, details: body?.details ?? null });
}

export function post(path, body, options = {}) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
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
