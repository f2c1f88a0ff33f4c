// What a caller does with the generated types: define, execute, wait, read, watch, cancel, and be refused.

import createClient from "openapi-fetch";
import type { Event, paths, Problem, TestConfiguration, TestRun } from "./api.js";

const assistant = process.env.ASSISTANT_URL!;
const client = createClient<paths>({
  baseUrl: process.env.GATEWAY_URL!,
  headers: { Authorization: `Bearer ${process.env.GATEWAY_API_KEY!}` },
});

/** The answer; otherwise it is the problem that says why there is none. */
function expect<Answer>({ data, error }: { data?: Answer; error?: Problem }): Answer {
  if (error || data === undefined) throw new Error(error ? `${error.status} ${error.code}: ${error.detail}` : "no answer");
  return data;
}

async function configure(questions: string[]): Promise<TestConfiguration> {
  const endpoint = expect(
    await client.POST("/v1/endpoints", {
      body: { name: "assistant", url: assistant, request: { input: "{{ input }}" } },
    }),
  );
  const tests = questions.map((input) => ({ input, expected: "yes" }));
  const testSet = expect(await client.POST("/v1/test-sets", { body: { name: "manners", tests } }));
  return expect(
    await client.POST("/v1/test-configurations", {
      body: {
        name: "manners of the assistant",
        endpoint_id: endpoint.id,
        test_set_id: testSet.id,
        metrics: [{ type: "equals" }],
      },
    }),
  );
}

async function execute({ id }: TestConfiguration): Promise<string> {
  const path = { test_configuration_id: id };
  const submitted = await client.POST("/v1/test-configurations/{test_configuration_id}/execute", { params: { path } });
  return expect(submitted).test_run_id;
}

/** Each request is answered when the run has ended, or after 30 seconds. */
async function wait(id: string): Promise<TestRun> {
  for (;;) {
    const run = expect(
      await client.GET("/v1/test-runs/{test_run_id}", {
        params: { path: { test_run_id: id }, header: { Prefer: "wait=30" } },
      }),
    );
    if (run.status !== "queued" && run.status !== "running") return run;
  }
}

/** The events of a run, as they come. */
async function* watch(id: string): AsyncGenerator<Event> {
  const { data } = await client.GET("/v1/test-runs/{test_run_id}/events", {
    params: { path: { test_run_id: id }, query: { after: 0 } },
    parseAs: "stream",
  });
  let text = "";
  for await (const part of data!.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\n");
    text = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith("data:")) yield JSON.parse(line.slice("data:".length)) as Event;
    }
  }
}

const run = await wait(await execute(await configure(["say yes", "say no", "say yes"])));
console.log(`${run.status}: ${run.passed} of ${run.total} passed`);
const wrong = await client.GET("/v1/test-runs/{test_run_id}/results", {
  params: { path: { test_run_id: run.id }, query: { status: ["fail"] } },
});
for (const result of expect(wrong).items) console.log(`${result.status}: ${result.input}`);
const events: Event[] = [];
for await (const event of watch(run.id)) events.push(event);
console.log(`from ${events[0]!.type} to ${events.at(-1)!.type}`);

const waiting = await execute(await configure(["wait"]));
expect(await client.POST("/v1/test-runs/{test_run_id}/cancel", { params: { path: { test_run_id: waiting } } }));
console.log((await wait(waiting)).status);

const nothing = { test_run_id: "00000000-0000-0000-0000-000000000000" };
const { error: problem } = await client.GET("/v1/test-runs/{test_run_id}", { params: { path: nothing } });
console.log(problem!.status, problem!.code);
const { error: refused } = await client.POST("/v1/test-sets", { body: { name: "" } });
console.log(refused!.status, refused!.code, refused!.errors![0]!.pointer);
