// The list of tasks, each moving with its events.
import { html, useState } from "../vendor/preact.js";
import { formatMilliseconds } from "../format.js";
import { Choice, Id, Status, Time } from "../parts/basics.js";
import { TextFilter } from "../parts/filters.js";
import { useList } from "../parts/list.js";
import { Listed } from "../parts/listed.js";
import { Progress } from "../parts/progress.js";
import { TaskCancellation } from "../parts/task_cancellation.js";
import { TaskForm } from "../parts/task_form.js";
import { useTaskTypes } from "../parts/task_types.js";
import { filter, place } from "../router.js";
import { may } from "../session.js";

export const TASK_STATUSES = ["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"];
export const FINAL = new Set(["SUCCESS", "FAILURE", "REVOKED"]);

export function Tasks() {
  const [isSubmitting, setSubmitting] = useState(false);
  const [status, name, queue, run] = ["status", "name", "queue", "run"].map((one) => place.value.query.get(one));
  const types = useTaskTypes();
  const list = useList({ path: "/v1/tasks", query: { status, name, queue, test_run_id: run }, keyOf: (task) => task.task_id, patch: patchTask, concerns: (event) => isNew(event, { status, name, run }) });
  return html`<header class="title"><h1>Tasks</h1>${may("tasks:submit") ? html`<div class="actions">
      ${run ? null : html`<${TaskCancellation} key=${[status, name, queue].join()} filter=${{ status: status ? [status] : [], name, queue }} />`}
      <button type="button" class="primary" onClick=${() => setSubmitting(true)}>Submit a task</button></div>` : null}</header>
    <${Choice} label="Status" values=${TASK_STATUSES} chosen=${status} onChoose=${(chosen) => filter({ status: chosen })} />
    <div class="filters"><${TextFilter} name="name" label="Name" suggestions=${types.map((type) => type.name)} /><${TextFilter} name="queue" label="Queue" /><${TextFilter} name="run" label="Run" /></div>
    <${Listed} list=${list} columns=${["Status", "Task", "~Progress", "Queue", "#Retries", "#Took", "Created"]} empty=${status || name || queue || run ? "No task is like this." : "No task is here."}>
      ${list.items.map((task) => html`<${TaskRow} key=${task.task_id} task=${task} />`)}<//>
    ${isSubmitting ? html`<${TaskForm} types=${types} onClose=${() => setSubmitting(false)} />` : null}`;
}

function TaskRow({ task }) {
  return html`<tr>
    <td><${Status} of=${task.status} /></td>
    <td><a href="#/tasks/${encodeURIComponent(task.task_id)}">${task.name ?? "task"}</a> <${Id} of=${task.task_id} />${task.test_run_id ? html` <a class="tag" href="#/runs/${task.test_run_id}">run</a>` : null}</td>
    <td class="wide">${FINAL.has(task.status) ? null : html`<${Progress} of=${task.progress} />`}</td>
    <td data-label="queue">${task.queue ?? "–"}</td>
    <td class="number" data-label="retries">${task.retries || null}</td>
    <td class="number">${formatMilliseconds(tookMilliseconds(task))}</td>
    <td><${Time} at=${task.created_at} /></td>
  </tr>`;
}

/** From its beginning to its end; null before. */
export function tookMilliseconds({ started_at: began, finished_at: ended }) {
  return began && ended ? Date.parse(ended) - Date.parse(began) : null;
}

/** A task after an event of its. */
export function patchTask(task, { type, seq, at, data }) {
  return {
    ...task,
    seq,
    status: data.status,
    retries: data.retries,
    queue: data.queue ?? task.queue,
    worker: data.worker ?? task.worker,
    progress: data.progress,
    started_at: type === "task.started" ? at : task.started_at,
    finished_at: FINAL.has(data.status) ? at : task.finished_at,
  };
}

/** Whether a task that is not listed may be one now; with a status it may also come to have it. */
function isNew({ type, data }, { status, name, run }) {
  if (!type.startsWith("task.") || (name && data.name !== name) || (run && data.test_run_id !== run)) return false;
  return status ? data.status === status : type === "task.pending";
}
