// How a run or a group of runs can stand, and what share of its tests has passed.

export const RUN_STATUSES = ["queued", "running", "completed", "partial", "failed", "cancelled"];
const OPEN = new Set(["queued", "running"]);

export function hasEnded(status) {
  return !OPEN.has(status);
}

/** As the API has it: of the tests that were executed; null while there is none. */
export function passRate({ passed = 0, failed = 0, errored = 0 }) {
  const judged = passed + failed + errored;
  return judged ? passed / judged : null;
}
