// What the dashboard's lists keep when their first page is read again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { renewed } from "../../gateway/ui/rows.js";

const KNOWN = { items: ["f", "e", "d", "c", "b"], cursor: "behind b" };

function read(...items) {
  return renewed({ items, next_cursor: "behind the page" }, KNOWN, (row) => row);
}

test("what new rows push out of the page stays, and the next page is the one behind all that is known", () => {
  assert.deepEqual(read("h", "g", "f"), { items: ["h", "g", "f", "e", "d", "c", "b"], cursor: "behind b" });
  assert.deepEqual(read("f", "e"), { items: KNOWN.items, cursor: "behind b" });
});

test("what is gone from the page is gone, and nothing is there twice", () => {
  assert.deepEqual(read("f", "d"), { items: ["f", "d", "c", "b"], cursor: "behind b" });
  assert.deepEqual(read("c", "f", "e"), { items: ["c", "f", "e", "d", "b"], cursor: "behind b" });
});

test("a page that tells of nothing known, or of all of it, is all there is", () => {
  assert.deepEqual(read("z", "y"), { items: ["z", "y"], cursor: "behind the page" });
  assert.deepEqual(read("f", "e", "d", "c", "b"), { items: KNOWN.items, cursor: "behind the page" });
  assert.deepEqual(read(), { items: [], cursor: "behind the page" });
});
