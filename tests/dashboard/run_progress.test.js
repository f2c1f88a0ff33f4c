// How the dashboard counts a run by its events.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RunProgress } from "../../gateway/ui/run_progress.js";

const BEGAN = Date.parse("2026-01-01T12:00:00Z");

function counts(total, passed = 0, failed = 0, errored = 0) {
  return { total, passed, failed, errored, cancelled: 0, unscored: 0, pending: total - passed - failed - errored };
}

function moved(seq, status, own, seconds = 0) {
  const type = `test_run.${status === "running" ? (seq === 1 ? "started" : "progress") : status}`;
  return { type, seq, at: new Date(BEGAN + 1000 * seconds).toISOString(), data: { status, counts: own } };
}

function finished(seq, position, { status = "pass", repeat = 1, seconds = 1, latency = 10 } = {}) {
  return { type: "test_result.finished", seq, at: new Date(BEGAN + 1000 * seconds).toISOString(), data: { position, repeat, status, test_id: `t${position}`, latency_ms: latency } };
}

test("tests are marked where they stand, and the counts are those the run tells", () => {
  const progress = new RunProgress();
  progress.apply(moved(1, "running", counts(4)));
  progress.apply(finished(2, 3, { status: "fail" }));
  progress.apply(moved(3, "running", counts(4, 0, 1)));
  assert.deepEqual([...progress.cells], [0, 0, 0, 2]);
  assert.deepEqual(progress.counts, counts(4, 0, 1));
  assert.deepEqual(progress.at(3), { index: 3, position: 3, repeat: 1, status: "fail", testId: "t3" });
});

test("an event that comes again changes nothing", () => {
  const progress = new RunProgress({ total: 2 });
  const events = [moved(1, "running", counts(2)), finished(2, 0), moved(3, "running", counts(2, 1))];
  for (const event of [...events, ...events, events[1]]) progress.apply(event);
  assert.equal(progress.finished.length, 1);
  assert.equal(progress.counts.passed, 1);
});

test("executions of a repeat stand behind those of the one before", () => {
  const progress = new RunProgress({ total: 6, repeats: 2 });
  progress.apply(moved(1, "running", counts(6)));
  progress.apply(finished(2, 1, { repeat: 2 }));
  assert.deepEqual([...progress.cells], [0, 0, 0, 0, 1, 0]);
  assert.equal(progress.at(4).repeat, 2);
});

test("who was not told of repeats learns of them from the results", () => {
  const progress = new RunProgress();
  progress.apply(moved(1, "running", counts(6)));
  progress.apply(finished(2, 2));
  progress.apply(finished(3, 0, { repeat: 2, status: "error" }));
  assert.deepEqual([...progress.cells], [0, 0, 1, 3, 0, 0]);
});

test("only what has changed is to be drawn again", () => {
  const progress = new RunProgress({ total: 3 });
  assert.equal(progress.takeChanges(), null);
  progress.apply(finished(1, 2));
  assert.deepEqual(progress.takeChanges(), [2]);
  assert.deepEqual(progress.takeChanges(), []);
});

test("a series has a bin for each time between the start and the last test, also where nothing ended", () => {
  const progress = new RunProgress({ total: 4 });
  progress.apply(moved(1, "running", counts(4)));
  [[0.1, 10], [0.2, 30], [0.3, 20], [2.1, 40]].forEach(([seconds, latency], at) => progress.apply(finished(2 + at, at, { seconds, latency })));
  progress.apply(moved(6, "completed", counts(4, 4), 2.2));
  const { width, times, rates, p50, p95 } = progress.series();
  assert.equal(width, 0.5);
  assert.deepEqual(times.map((at) => at - BEGAN / 1000), [0.25, 0.75, 1.25, 1.75, 2.25]);
  assert.deepEqual(rates, [6, 0, 0, 0, 2]);
  assert.deepEqual(p50, [20, null, null, null, 40]);
  assert.deepEqual(p95, [30, null, null, null, 40]);
});

test("the bin that still fills is no rate yet", () => {
  const progress = new RunProgress({ total: 4 });
  progress.apply(moved(1, "running", counts(4)));
  progress.apply(finished(2, 0, { seconds: 0.7 }));
  assert.deepEqual(progress.series().rates, [0, null]);
});

test("a long run has bins that are wider, and never more than fit into a plot", () => {
  const progress = new RunProgress({ total: 1000 });
  progress.apply(moved(1, "running", counts(1000)));
  for (let at = 0; at < 1000; at++) progress.apply(finished(2 + at, at, { seconds: 36 * at }));
  const { width, times } = progress.series();
  assert.ok(times.length <= 91 && width === 900);
});

test("a snapshot takes the place of what was known", () => {
  const progress = new RunProgress({ total: 2 });
  progress.apply({ type: "snapshot", seq: 9, data: { status: "partial", reason: "one failed", started_at: null, finished_at: null, ...counts(2, 1, 0, 1) } });
  assert.equal(progress.isEnded, true);
  assert.equal(progress.reason, "one failed");
  progress.note({ position: 1, repeat: 1, status: "error", test_id: "x", finished_at: "2026-01-01T12:00:01Z", latency_ms: null });
  assert.deepEqual([...progress.cells], [0, 3]);
});

test("what was read of a run stands until an event is newer, and its results are still taken from the older ones", () => {
  const progress = new RunProgress({ total: 3 });
  progress.stand({ seq: 5, status: "running", reason: null, started_at: "2026-01-01T12:00:00Z", finished_at: null, ...counts(3, 2) });
  progress.apply(moved(1, "running", counts(3)));
  progress.apply(finished(2, 0));
  progress.apply(moved(3, "running", counts(3, 1)));
  assert.deepEqual(progress.counts, counts(3, 2));
  assert.deepEqual([...progress.cells], [1, 0, 0]);
  progress.apply(moved(6, "running", counts(3, 3)));
  assert.deepEqual(progress.counts, counts(3, 3));
});
