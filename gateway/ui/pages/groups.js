// The list of run groups: test sets that were executed against several configurations at once.
import { html } from "../vendor/preact.js";
import { formatSeconds } from "../format.js";
import { Choice, Status, Time } from "../parts/basics.js";
import { useList } from "../parts/list.js";
import { Listed } from "../parts/listed.js";
import { useName } from "../parts/names.js";
import { filter, place } from "../router.js";
import { hasEnded, RUN_STATUSES } from "../run_status.js";

export function Groups() {
  const status = place.value.query.get("status");
  const list = useList({ path: "/v1/run-groups", query: { status }, keyOf: (group) => group.id, patch: patchGroup, concerns: (event) => event.type === "run_group.queued" });
  return html`<header class="title"><h1>Run groups</h1></header>
    <${Choice} label="Status" values=${RUN_STATUSES} chosen=${status} onChoose=${(chosen) => filter({ status: chosen })} />
    <${Listed} list=${list} columns=${["Status", "Group", "Test set", "#Runs ended", "#Took", "Created"]} empty=${html`No group is here. <code>POST /v1/test-sets/ID/execute</code> starts one.`}>
      ${list.items.map((group) => html`<${GroupRow} key=${group.id} group=${group} />`)}<//>`;
}

function GroupRow({ group }) {
  const set = useName("/v1/test-sets", group.test_set_id);
  return html`<tr><td><${Status} of=${group.status} /></td><td><a href="#/groups/${group.id}">${group.name ?? set}</a></td><td>${set}</td>
    <td class="number">${group.finished} of ${group.total ?? "–"}</td><td class="number">${group.finished_at ? formatSeconds(group.duration_seconds) : "–"}</td><td><${Time} at=${group.created_at} /></td></tr>`;
}

/** A listed group after an event of its. */
export function patchGroup(group, { seq, at, data }) {
  const isOver = hasEnded(data.status);
  const took = isOver && group.started_at ? (Date.parse(at) - Date.parse(group.started_at)) / 1000 : group.duration_seconds;
  return { ...group, seq, status: data.status, total: data.total ?? group.total, finished: data.finished, finished_at: isOver ? at : null, duration_seconds: took };
}
