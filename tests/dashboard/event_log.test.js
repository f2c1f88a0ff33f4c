// What the dashboard keeps of a stream that has no end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog, MOST } from "../../gateway/ui/event_log.js";

function events(from, to) {
  return Array.from({ length: to - from + 1 }, (_, at) => ({ seq: from + at }));
}

function shown(log) {
  return log.rows.map((row) => row.event?.seq ?? "gap");
}

test("events wait until they are shown, then the newest come first", () => {
  const log = new EventLog();
  log.add(events(1, 2));
  log.add(events(3, 3));
  assert.deepEqual([shown(log), log.waiting, log.shown], [[], 3, 0]);
  log.show();
  log.add(events(4, 5));
  log.show();
  assert.deepEqual([shown(log), log.waiting, log.shown], [[5, 4, 3, 2, 1], 0, 5]);
});

test("a gap stands between what came before it and what came after", () => {
  const log = new EventLog();
  log.add(events(1, 1));
  log.addGap();
  log.add(events(2, 2));
  log.show();
  assert.deepEqual(shown(log), [2, "gap", 1]);
});

test("however much waits or comes, no more than fits is kept, and all of it is counted", () => {
  const log = new EventLog();
  for (let turn = 0; turn < 3; turn++) log.add(events(turn * MOST + 1, (turn + 1) * MOST));
  assert.equal(log.waiting, 3 * MOST);
  log.show();
  log.add(events(3 * MOST + 1, 3 * MOST + 1));
  log.show();
  assert.deepEqual([log.rows.length, log.shown, shown(log)[0], shown(log).at(-1)], [MOST, 3 * MOST + 1, 3 * MOST + 1, 2 * MOST + 2]);
});

test("a row is the same object as long as it is there, and no other has its key", () => {
  const log = new EventLog();
  log.add(events(1, 2));
  log.show();
  const before = log.rows;
  log.add(events(3, 4));
  log.show();
  assert.deepEqual([log.rows[2] === before[0], log.rows[3] === before[1]], [true, true]);
  assert.equal(new Set(log.rows.map((row) => row.key)).size, 4);
});
