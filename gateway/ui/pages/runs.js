// The list of runs, each moving as its tests end.
import { html, useState } from "../vendor/preact.js";
import { get, post } from "../api.js";
import { formatSeconds, formatShare } from "../format.js";
import { useAction } from "../parts/action.js";
import { Bar } from "../parts/bar.js";
import { Choice, Refusal, Status, Time } from "../parts/basics.js";
import { useList } from "../parts/list.js";
import { Listed } from "../parts/listed.js";
import { useName } from "../parts/names.js";
import { useReading } from "../parts/reading.js";
import { filter, go, place } from "../router.js";
import { hasEnded, passRate, RUN_STATUSES } from "../run_status.js";
import { may } from "../session.js";

const CONFIGURATIONS = "/v1/test-configurations";

export function Runs() {
  const query = { status: place.value.query.get("status"), test_configuration_id: place.value.query.get("configuration"), test_set_id: place.value.query.get("set") };
  const list = useList({ path: "/v1/test-runs", query, keyOf: (run) => run.id, patch: patchRun, concerns: (event) => event.type === "test_run.queued" });
  return html`<header class="title"><h1>Runs</h1>${may("runs:write") ? html`<${Starter} />` : null}</header>
    <${Choice} label="Status" values=${RUN_STATUSES} chosen=${query.status} onChoose=${(status) => filter({ status })} />
    ${query.test_configuration_id || query.test_set_id ? html`<p>Of one ${query.test_set_id ? "test set" : "configuration"} only. <a href="#/runs">Show all</a></p>` : null}
    <${Listed} list=${list} columns=${["Status", "Run", "~Tests", "#Passed", "#Took", "Created"]} empty=${html`No run is here. <code>gateway run suite.yaml</code> starts one.`}>
      ${list.items.map((run) => html`<${RunRow} key=${run.id} run=${run} />`)}<//>`;
}

function RunRow({ run }) {
  const name = useName(CONFIGURATIONS, run.test_configuration_id);
  return html`<tr>
    <td><${Status} of=${run.status} /></td>
    <td><a href="#/runs/${run.id}">${name}</a>${origin(run)}</td>
    <td class="wide"><${Bar} counts=${run} /></td>
    <td class="number">${formatShare(run.pass_rate)}</td>
    <td class="number">${run.finished_at || run.status === "running" ? formatSeconds(run.duration_seconds) : "–"}</td>
    <td><${Time} at=${run.created_at} /></td>
  </tr>`;
}

function origin(run) {
  if (run.rescore_of) return html` <span class="tag">rescored</span>`;
  if (run.rerun_of) return html` <span class="tag">rerun</span>`;
  return run.run_group_id ? html` <a class="tag" href="#/groups/${run.run_group_id}">group</a>` : null;
}

/** A listed run after an event of its. */
export function patchRun(run, { type, seq, at, data }) {
  const counts = data.counts ?? {};
  const began = type === "test_run.started" ? at : run.started_at;
  return {
    ...run,
    ...counts,
    seq,
    status: data.status,
    pass_rate: passRate(counts),
    started_at: began,
    finished_at: hasEnded(data.status) ? at : null,
    duration_seconds: began ? (Date.parse(at) - Date.parse(began)) / 1000 : null,
  };
}

/** Start a run of one of the configurations. */
function Starter() {
  const { isBusy, problem, act } = useAction();
  const [chosen, setChosen] = useState("");
  const { value } = useReading((signal) => get(CONFIGURATIONS, { limit: 100 }, { signal }), []);
  if (!value?.items.length) return null;
  const start = (event) => {
    event.preventDefault();
    act(async () => {
      const { test_run_id: id } = await post(`${CONFIGURATIONS}/${chosen || value.items[0].id}/execute`);
      go(`/runs/${id}`);
    });
  };
  return html`<form class="inline" onSubmit=${start}>
    <label class="hidden" for="configuration">Configuration</label>
    <select id="configuration" onChange=${(event) => setChosen(event.target.value)}>${value.items.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select>
    <button class="primary" disabled=${isBusy}>Start a run</button><${Refusal} problem=${problem} /></form>`;
}
