// How the dashboard reads server-sent events.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Parser } from "../../gateway/ui/event_stream.js";

const STREAM = 'retry: 2000\n\nid: 1\ndata: {"a":1}\n\nevent: reset\nid: 2\ndata: {}\n\nid: 3\n\n: said to nobody\n\n';
const FRAMES = [{ retry: 2000 }, { id: "1", data: '{"a":1}' }, { name: "reset", id: "2", data: "{}" }, { id: "3" }];

test("frames are what stands between empty lines, without comments", () => {
  assert.deepEqual(new Parser().take(STREAM), FRAMES);
});

test("wherever the text is cut, the frames are the same", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const parser = new Parser();
    assert.deepEqual([...parser.take(STREAM.slice(0, cut)), ...parser.take(STREAM.slice(cut))], FRAMES);
  }
});

test("a frame that has not ended is not given, as a connection may break in it", () => {
  assert.deepEqual(new Parser().take('id: 7\ndata: {"half":1}\n'), []);
});

test("data of several lines is joined, and a value may have colons", () => {
  assert.deepEqual(new Parser().take("data: a: b\ndata:c\n\n"), [{ data: "a: b\nc" }]);
});
