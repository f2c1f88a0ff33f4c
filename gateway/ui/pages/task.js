// One task, live: how it stands, what it told on its way, and what came of it.
import { html, useEffect, useState } from "../vendor/preact.js";
import { get, post } from "../api.js";
import { formatMilliseconds } from "../format.js";
import { useAction } from "../parts/action.js";
import { Id, Refusal, Status, SureButton, Time } from "../parts/basics.js";
import { Progress } from "../parts/progress.js";
import { useReading } from "../parts/reading.js";
import { Timeline } from "../parts/timeline.js";
import { Verbatim } from "../parts/verbatim.js";
import { may } from "../session.js";
import { CONNECTIONS, follow } from "../stream.js";
import { FINAL, patchTask, tookMilliseconds } from "./tasks.js";

export function Task({ id }) {
  return html`<${FollowedTask} key=${id} id=${id} />`;
}

function FollowedTask({ id }) {
  const path = `/v1/tasks/${encodeURIComponent(id)}`;
  const reading = useReading((signal) => get(path, {}, { signal }), [path]);
  const { events, connection, problem, isIncomplete } = useHistory(path);
  const last = events.at(-1);
  useEffect(() => { if (last && FINAL.has(last.data.status)) reading.reload(); }, [last?.data.status]);
  if (!reading.value) return html`<h1>Task</h1><${Refusal} problem=${reading.problem} retry=${reading.reload} />`;
  const task = last && last.seq > reading.value.seq ? patchTask(reading.value, last) : reading.value;
  const isEnded = FINAL.has(task.status);
  return html`<header class="title"><div><p class="above"><a href="#/tasks">Tasks</a>${task.test_run_id ? html` / <a href="#/runs/${task.test_run_id}">run</a>` : null}</p>
      <h1>${task.name ?? "Task"} <${Status} of=${task.status} /></h1>
      <p class="faint"><${Id} of=${id} /> ${isEnded ? "" : CONNECTIONS[connection] ?? ""}</p></div>
      ${may("tasks:submit") && !isEnded ? html`<${Cancel} path=${path} />` : null}</header>
    <${Refusal} problem=${reading.problem} retry=${reading.reload} />
    <${Facts} task=${task} />
    ${task.progress === null || task.progress === undefined ? null : html`<section><h2>Progress</h2><${Progress} of=${task.progress} /></section>`}
    ${task.error ? html`<section><h2>Error ${task.error_type ? html`<span class="tag">${task.error_type}</span>` : null}</h2><${Verbatim} of=${task.error} /></section>` : null}
    ${task.result === null ? null : html`<section><h2>Result</h2><${Verbatim} of=${task.result} /></section>`}
    <section><h2>What happened</h2>${isIncomplete ? html`<p class="faint">Its first events are too old to be kept.</p>` : null}${problem ? html`<${Refusal} problem=${problem} />` : html`<${Timeline} events=${events} />`}</section>`;
}

function Cancel({ path }) {
  const { isBusy, problem, act } = useAction();
  return html`<div class="actions"><${SureButton} label="Cancel" disabled=${isBusy} onSure=${() => act(() => post(`${path}/cancel`))} /><${Refusal} problem=${problem} /></div>`;
}

function Facts({ task }) {
  return html`<dl class="facts">
    <div><dt>Queue</dt><dd>${task.queue ? html`<a href="#/tasks?queue=${encodeURIComponent(task.queue)}">${task.queue}</a>` : "–"}</dd></div>
    <div><dt>Worker</dt><dd>${task.worker ?? "–"}</dd></div>
    <div><dt>Retries</dt><dd>${task.retries}</dd></div>
    <div><dt>Created</dt><dd><${Time} at=${task.created_at} /></dd></div>
    ${task.eta ? html`<div><dt>Not before</dt><dd><${Time} at=${task.eta} /></dd></div>` : null}
    ${task.expires_at ? html`<div><dt>Begins until</dt><dd><${Time} at=${task.expires_at} /></dd></div>` : null}
    <div><dt>Started</dt><dd><${Time} at=${task.started_at} /></dd></div>
    <div><dt>Ended</dt><dd><${Time} at=${task.finished_at} /></dd></div>
    <div><dt>Took</dt><dd>${formatMilliseconds(tookMilliseconds(task))}</dd></div>
    ${task.name ? html`<div><dt>Others</dt><dd><a href="#/tasks?name=${encodeURIComponent(task.name)}">of this name</a></dd></div>` : null}
  </dl>`;
}

/** All events of the task from the first that is kept. */
function useHistory(path) {
  const [events, setEvents] = useState([]);
  const [state, setState] = useState({ connection: "connecting", problem: null });
  const [isIncomplete, setIncomplete] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    follow(`${path}/events`, {
      after: "0",
      signal: abort.signal,
      onState: (connection, problem = null) => setState({ connection, problem }),
      onEvents: (arrived) => setEvents((known) => [...known, ...arrived.filter((event) => event.seq > (known.at(-1)?.seq ?? 0))]),
      onReset: () => setIncomplete(true),
    });
    return () => abort.abort();
  }, [path]);
  return { events, isIncomplete, ...state };
}
