// The events of a task, one below the other, with how long each took to come.
import { html } from "../vendor/preact.js";
import { formatMilliseconds, formatNumber } from "../format.js";
import { steps } from "../task_history.js";
import { Empty, Status, Time } from "./basics.js";
import { Progress } from "./progress.js";

export function Timeline({ events }) {
  if (!events.length) return html`<${Empty}>Nothing is told of it yet.<//>`;
  return html`<ol class="timeline">${steps(events).map(({ event, count, since }) => html`<li key=${event.seq}>
    <${Time} at=${event.at} /><span class="number faint">${since === null ? "" : `+${formatMilliseconds(since)}`}</span><${Status} of=${event.data.status} />
    <span class="said">${said(event, count)}</span></li>`)}</ol>`;
}

function said({ type, data }, count) {
  if (type === "snapshot") return "so it stood when what is kept begins";
  if (type === "task.progress") return html`<${Progress} of=${data.progress} />${count > 1 ? html` <span class="faint">after ${formatNumber(count)} reports</span>` : null}`;
  if (data.error) return `${data.error.type}: ${data.error.message}`;
  if (type === "task.started") return data.worker ? `by ${data.worker}` : "";
  return type === "task.pending" && data.queue ? `in the queue ${data.queue}` : "";
}
