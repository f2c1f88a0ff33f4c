// Requests to the API: JSON in and out, and its problems as errors.
import { end, session } from "./session.js";

const ROOT = new URL(".", document.baseURI);
const TRIES = 4;
const UNAUTHORIZED = 401;
/** A gateway that is full, stops or has lost its database says so with one of these; what only reads is asked again. */
const PASSING = new Set([429, 502, 503, 504]);

/** An answer that is a refusal, or none at all (`status` 0). */
export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", title = "", detail, errors = [], request_id: requestId = "" }) {
    super(detail ?? title);
    Object.assign(this, { status, code, title, errors, requestId });
  }
}

/** Where a path of the API is, also behind a proxy that puts something before it. */
export function address(path, query = {}) {
  const url = new URL(path.replace(/^\//, ""), ROOT);
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, one);
  }
  return url;
}

/** The JSON at a path, for whoever is signed in or has this credential. */
export function get(path, query, { signal, credential } = {}) {
  return patiently(() => ask("GET", address(path, query), { signal, credential }), signal);
}

/** What a POST is answered; `body` is sent as JSON. It is not repeated by itself. */
export function post(path, body = {}) {
  return ask("POST", address(path), { body: JSON.stringify(body), headers: { "Content-Type": "application/json", "Idempotency-Key": newKey() } });
}

/** What a PATCH is answered. */
export function patch(path, body) {
  return ask("PATCH", address(path), { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

/** Take away what is at a path. */
export function remove(path) {
  return ask("DELETE", address(path), {});
}

/** Pages of a list, one after the other. */
export async function* pages(path, query = {}, options = {}) {
  let cursor;
  do {
    const page = await get(path, { ...query, cursor }, options);
    yield page.items;
    cursor = page.next_cursor;
  } while (cursor);
}

/** Refuse as `Problem` what is no answer of success. */
export async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem({ ...body, status: response.status, title: body.title ?? `The server answered ${response.status}.` });
}

async function ask(method, url, { headers = {}, signal, credential = session.value?.credential, ...rest }) {
  const authorization = credential ? { Authorization: `Bearer ${credential}` } : {};
  const response = await reach(url, { method, signal, cache: "no-store", headers: { Accept: "application/json", ...authorization, ...headers }, ...rest });
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await problemOf(response);
  problem.after = Number(response.headers.get("Retry-After")) || 0;
  if (response.status === UNAUTHORIZED && session.value) end(problem.message);
  throw problem;
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The gateway cannot be reached." });
  }
}

async function patiently(attempt, signal) {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt();
    } catch (problem) {
      if (tried === TRIES || !(PASSING.has(problem.status) || problem.status === 0)) throw problem;
      await pause(1000 * Math.max(problem.after ?? 0, tried * (0.5 + Math.random())), signal);
    }
  }
}

/** Resolves after so many milliseconds; rejects when `signal` aborts. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

/** `crypto.randomUUID` is missing where a page comes over plain HTTP from another machine. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
