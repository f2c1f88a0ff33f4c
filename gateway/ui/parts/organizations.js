// Who uses the gateway, and how much each has.
import { html } from "../vendor/preact.js";
import { formatNumber } from "../format.js";
import { Id, Time } from "./basics.js";
import { Listing } from "./listing.js";
import { useRefreshingList } from "./refreshing.js";

export function Organizations() {
  const list = useRefreshingList("/v1/admin/organizations");
  return html`<${Listing} title="Organizations" list=${list} columns=${["Organization", "Plan", "#Users", "#Keys", "#Runs", "#Open runs", "#Tests that wait", "#Open tasks", "Made"]} empty="There is no organization.">
    ${list.items.map((one) => html`<tr key=${one.id}><td>${one.name} <${Id} of=${one.id} /></td><td data-label="plan">${one.plan}</td><td class="number" data-label="users">${formatNumber(one.users)}</td><td class="number" data-label="keys">${formatNumber(one.live_keys)}</td>
      <td class="number" data-label="runs">${formatNumber(one.test_runs)}</td><td class="number" data-label="open runs">${formatNumber(one.open_test_runs)}</td><td class="number" data-label="tests that wait">${formatNumber(one.queued_tests)}</td><td class="number" data-label="open tasks">${formatNumber(one.open_tasks)}</td><td><${Time} at=${one.created_at} /></td></tr>`)}<//>`;
}
