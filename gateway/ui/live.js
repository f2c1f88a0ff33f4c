// The stream of the organization that all lists share: what happens to its tasks, runs, groups and webhooks.
import { effect, signal } from "./vendor/preact.js";
import { session } from "./session.js";
import { follow } from "./stream.js";

/** Results of tests are left out: a run's own page follows them. */
const TYPES = ["task.*", "test_run.*", "run_group.*", "webhook_endpoint.*"];

/** How the connection is: "connecting", "live", "waiting" or "refused"; null while there is none. */
export const connection = signal(null);

const listeners = new Set();
let following = null;

/** Follow as long as somebody is signed in. */
export function startLive() {
  effect(() => {
    following?.abort();
    connection.value = null;
    if (!session.value) return;
    following = new AbortController();
    follow("/v1/events", {
      query: { types: TYPES },
      signal: following.signal,
      onState: (state) => { connection.value = state; },
      onEvents: (events) => { for (const listener of listeners) listener(events); },
    });
  });
}

/**
 * Be told of events; returns how to end it. A list reads its page after it has called this: what happens meanwhile
 * is told too. A `snapshot` among the events says that some may be missing, so that the page is to be read anew.
 */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
