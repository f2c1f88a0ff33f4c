// The workers that have reported lately, and what each has to do.
import { html } from "../vendor/preact.js";
import { formatNumber } from "../format.js";
import { Status, Time } from "./basics.js";
import { Listing } from "./listing.js";
import { useRefreshingList } from "./refreshing.js";

export function Workers() {
  const list = useRefreshingList("/v1/admin/workers");
  return html`<${Listing} title="Workers" list=${list} columns=${["Status", "Worker", "Queues", "#Slots", "#Executes", "#Fetched", "Started", "Seen"]} empty="No worker has reported: nothing is executed.">
    ${list.items.map((worker) => html`<tr key=${worker.node}><td><${Status} of=${worker.is_alive ? "alive" : "silent"} /></td><td>${worker.node} <span class="faint">${worker.pool}</span></td><td data-label="queues">${worker.queues.join(", ")}</td>
      <td class="number" data-label="slots">${worker.concurrency}</td><td class="number" data-label="executes">${formatNumber(worker.active)}</td><td class="number" data-label="fetched">${formatNumber(worker.reserved)}</td>
      <td data-label="started"><${Time} at=${worker.started_at} /></td><td data-label="seen"><${Time} at=${worker.seen_at} /></td></tr>`)}<//>`;
}
