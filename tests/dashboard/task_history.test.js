// How the dashboard tells what happened to a task.
import assert from "node:assert/strict";
import { test } from "node:test";
import { steps } from "../../gateway/ui/task_history.js";

function told(type, seconds, status = "STARTED") {
  return { type: `task.${type}`, at: new Date(1000 * seconds).toISOString(), data: { status } };
}

function short(events) {
  return steps(events).map(({ event, count, since }) => [event.type, count, since]);
}

test("each step tells how long after the one before it came", () => {
  const events = [told("pending", 1, "PENDING"), told("started", 3), told("succeeded", 3.5, "SUCCESS")];
  assert.deepEqual(short(events), [["task.pending", 1, null], ["task.started", 1, 2000], ["task.succeeded", 1, 500]]);
});

test("reports that follow one another are one step, counted from the step before them", () => {
  const events = [told("started", 1), told("progress", 2), told("progress", 4), told("retry", 5, "RETRY"), told("progress", 6), told("succeeded", 9, "SUCCESS")];
  assert.deepEqual(short(events), [["task.started", 1, null], ["task.progress", 2, 3000], ["task.retry", 1, 1000], ["task.progress", 1, 1000], ["task.succeeded", 1, 3000]]);
});

test("a report with another state of the task's own is a step of its own", () => {
  const events = [told("progress", 1, "LOADING"), told("progress", 2, "WRITING"), told("progress", 3, "WRITING")];
  assert.deepEqual(short(events), [["task.progress", 1, null], ["task.progress", 2, 2000]]);
  assert.deepEqual(steps([]), []);
});
