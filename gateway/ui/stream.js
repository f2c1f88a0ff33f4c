// Server-sent events over fetch, which can send a header: read, and resumed by their cursor until they are over.
import { address, pause, problemOf } from "./api.js";
import { Parser } from "./event_stream.js";
import { end, session } from "./session.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** The server says something every 15 seconds unless it was told otherwise; a connection that is silent for longer is dead. */
const SILENCE = 60_000;
/** How a stream is, for people; of one that is refused the problem says why. */
export const CONNECTIONS = { live: "live", connecting: "connecting…", waiting: "connection lost, coming back…" };
/** Refusals that another attempt may not meet. */
const PASSING = new Set([429, 500, 502, 503, 504]);

/**
 * Follow a stream until it has ended, is refused or `signal` aborts.
 *
 * `onEvents` is given all events that arrived at once, `onState` one of "connecting", "live", "waiting", "ended" and
 * "refused" (then with the problem), `onReset` is called when events are missing and a snapshot follows.
 */
export async function follow(path, { query = {}, after, signal, onEvents, onState = () => {}, onReset = () => {} }) {
  let cursor = after;
  let wait = FIRST_PAUSE;
  const heard = {
    events: onEvents,
    reset: onReset,
    cursor: (at) => { cursor = at; },
    retry: (milliseconds) => { wait = milliseconds; },
  };
  onState("connecting");
  while (!signal.aborted) {
    try {
      const response = await open(address(path, query), cursor, signal);
      if (response.status === 204) return onState("ended");
      if (!response.ok) {
        const problem = await problemOf(response);
        if (!PASSING.has(response.status)) return refuse(problem, onState);
      } else {
        onState("live");
        await read(response.body, heard, signal);
      }
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!isConnectionError(error)) throw error;
    }
    onState("waiting");
    await pause(wait * (0.5 + Math.random()), signal).catch(() => {});
    wait = Math.min(2 * wait, LONGEST_PAUSE);
  }
  return undefined;
}

function open(url, cursor, signal) {
  if (cursor !== undefined) url.searchParams.set("after", cursor);
  const headers = { Accept: "text/event-stream", Authorization: `Bearer ${session.value?.credential}` };
  return fetch(url, { headers, signal, cache: "no-store" });
}

function refuse(problem, onState) {
  if (problem.status === 401) end(problem.message);
  onState("refused", problem);
}

/** What fetch and its streams throw when a connection fails. */
function isConnectionError(error) {
  return error instanceof TypeError || error.name === "NetworkError" || error.name === "TimeoutError";
}

async function read(body, heard, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new Parser();
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader, signal);
      if (done) return;
      deliver(parser.take(value), heard);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Hand over what has arrived: events together, and a `reset` between those before and those behind it. */
function deliver(frames, heard) {
  let events = [];
  let cursor;
  const flush = () => { if (events.length) heard.events(events); events = []; };
  for (const { name, id, data, retry } of frames) {
    if (retry !== undefined) heard.retry(retry);
    if (name === "reset") { flush(); heard.reset(); }
    if (name === undefined && data !== undefined) events.push(JSON.parse(data));
    if (id !== undefined) cursor = id;
  }
  flush();
  if (cursor !== undefined) heard.cursor(cursor);
}

async function withinSilence(reader, signal) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new DOMException("nothing arrived", "TimeoutError")), SILENCE);
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}
