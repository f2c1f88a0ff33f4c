// What the sweeper repaired and removed, step by step.
import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { formatMilliseconds, formatNumber } from "../format.js";
import { Status, Time } from "./basics.js";
import { Listing } from "./listing.js";
import { useRefreshing } from "./refreshing.js";

export function Sweeper() {
  const { value, problem, reload } = useRefreshing((signal) => get("/v1/admin/sweeper", {}, { signal }), []);
  const list = { items: value?.steps ?? [], problem, reload, isLoading: value === undefined && !problem };
  return html`<${Listing} title="Sweeper" list=${list} columns=${["Status", "Step", "#Last time", "#In all", "Had to do", "#Took", "Worker", "Swept"]} empty="Nothing has been swept: it is a worker that does it.">
    ${list.items.map((step) => html`<tr key=${step.step}><td><${Status} of=${isFailing(step) ? "failed" : "done"} /></td><td>${step.step.replaceAll("_", " ")}${step.error ? html`<br /><span class="faint">${step.error} <${Time} at=${step.failed_at} /></span>` : null}</td>
      <td class="number" data-label="last time">${formatNumber(step.done)}</td><td class="number" data-label="in all">${formatNumber(step.done_in_all)}</td><td data-label="had to do"><${Time} at=${step.done_at} /></td>
      <td class="number">${formatMilliseconds(1000 * step.seconds)}</td><td>${step.node}</td><td><${Time} at=${step.swept_at} /></td></tr>`)}<//>`;
}

/** Its last failure is its last sweep. */
function isFailing({ failed_at: failed, swept_at: swept }) {
  return failed !== null && failed >= swept;
}
