// The tasks that workers execute now, of all organizations, and what stops one.
import { html } from "../vendor/preact.js";
import { post } from "../api.js";
import { formatSeconds } from "../format.js";
import { session } from "../session.js";
import { useAction } from "./action.js";
import { Id, Refusal, Status, SureButton } from "./basics.js";
import { Listing } from "./listing.js";
import { useRefreshingList } from "./refreshing.js";

export function ActiveTasks() {
  const list = useRefreshingList("/v1/admin/tasks");
  const { problem, act } = useAction();
  const stop = (task, verb) => act(() => post(`/v1/admin/tasks/${encodeURIComponent(task.task_id)}/${verb}`).then(list.reload));
  return html`<${Listing} title="Executed now" list=${list} columns=${["Status", "Task", "Organization", "Worker", "#For", "Actions"]} empty="No task is being executed.">
      ${list.items.map((task) => html`<${ActiveTask} key=${task.task_id} task=${task} onStop=${(verb) => stop(task, verb)} />`)}<//>
    <${Refusal} problem=${problem} />`;
}

function ActiveTask({ task, onStop }) {
  const isOwn = task.organization_id === session.value.caller?.organization_id;
  return html`<tr><td><${Status} of=${task.status ?? "unknown"} /></td>
    <td>${isOwn ? html`<a href="#/tasks/${encodeURIComponent(task.task_id)}">${task.name ?? "task"}</a>` : task.name ?? "task"} <${Id} of=${task.task_id} /></td>
    <td>${task.organization ?? "–"}</td><td>${task.node}${task.pid ? html` <span class="faint">process ${task.pid}</span>` : null}</td><td class="number" data-label="for">${formatSeconds(task.age_seconds)}</td>
    <td><div class="actions"><${SureButton} label="Revoke" onSure=${() => onStop("revoke")} /><${SureButton} label="Terminate" onSure=${() => onStop("terminate")} /></div></td></tr>`;
}
