// How the dashboard writes numbers, durations and texts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatCount, formatMilliseconds, formatSeconds, formatShare, formatValue, shortId, shorten } from "../../gateway/ui/format.js";

test("one of something is not several of it", () => {
  assert.deepEqual([0, 1, 2, 1200].map((count) => formatCount(count, "task")), ["0 tasks", "1 task", "2 tasks", "1,200 tasks"]);
  assert.equal(formatCount(2, "delivery", "deliveries"), "2 deliveries");
});

test("durations are written in the unit that suits them", () => {
  assert.deepEqual([0.4, 999.6, 1500, 59_990, 61_000, 7_325_000].map(formatMilliseconds), ["0 ms", "1000 ms", "1.5 s", "60 s", "1 min 1 s", "2 h 2 min"]);
  assert.deepEqual([null, undefined].map(formatSeconds), ["–", "–"]);
});

test("a share is told in percent, and none at all is no zero", () => {
  assert.deepEqual([0, 0.335, 1, null].map(formatShare), ["0 %", "33.5 %", "100 %", "–"]);
});

test("texts stay as they are, and what is too long says so", () => {
  assert.deepEqual([null, "a <b>", { a: 1 }].map(formatValue), ["", "a <b>", '{\n  "a": 1\n}']);
  assert.deepEqual([shorten("abcd", 4), shorten("abcde", 4)], ["abcd", "abc…"]);
  assert.deepEqual([shortId("short"), shortId("0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c31")], ["short", "…7f0a1c31"]);
});
