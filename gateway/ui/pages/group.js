// A run group: its runs side by side, live, and the tests that came out differently.
import { html, useEffect } from "../vendor/preact.js";
import { get, post } from "../api.js";
import { formatNumber, formatShare, shorten } from "../format.js";
import { Bar } from "../parts/bar.js";
import { Choice, Id, Refusal, Status, SureButton } from "../parts/basics.js";
import { useList } from "../parts/list.js";
import { Listed, Table } from "../parts/listed.js";
import { useName } from "../parts/names.js";
import { useReading } from "../parts/reading.js";
import { Verbatim } from "../parts/verbatim.js";
import { listen } from "../live.js";
import { filter, place } from "../router.js";
import { may } from "../session.js";
import { Answered, words } from "./comparison.js";
import { patchRun } from "./runs.js";

const CHANGES = ["newly_failing", "newly_passing", "newly_errored", "otherwise"];

export function Group({ id }) {
  const reading = useReading((signal) => get(`/v1/run-groups/${id}`, {}, { signal }), [id]);
  const group = reading.value;
  useEffect(() => (group ? listen((events) => follow(reading, events)) : undefined), [group]);
  const set = useName("/v1/test-sets", group?.test_set_id);
  if (!group) return html`<h1>Run group</h1><${Refusal} problem=${reading.problem} retry=${reading.reload} />`;
  const changes = new Map(group.comparison?.runs.map((run) => [run.test_run_id, run.changes]) ?? []);
  return html`<header class="title"><div><p class="above"><a href="#/groups">Run groups</a></p><h1>${group.name ?? set} <${Status} of=${group.status} /></h1>
      <p class="faint"><${Id} of=${id} /> ${group.finished} of ${group.total ?? "–"} runs have ended</p></div>
      ${may("runs:write") && !group.finished_at ? html`<div class="actions"><${SureButton} label="Cancel" onSure=${() => post(`/v1/run-groups/${id}/cancel`).then(reading.reload)} /></div>` : null}</header>
    <${Refusal} problem=${reading.problem} retry=${reading.reload} />
    <${Table} columns=${["Status", "Run", "~Tests", "#Passed", "#Better", "#Worse"]}>
      ${group.runs.map((run) => html`<${Side} key=${run.test_run_id} run=${run} changes=${changes.get(run.test_run_id)} isBaseline=${run.test_run_id === group.baseline_test_run_id} baseline=${group.baseline_test_run_id} />`)}<//>
    ${group.comparison ? html`<${Differences} group=${group} />` : html`<p class="faint">Its runs are compared when all of them have ended.</p>`}`;
}

/** Runs move with their events; the group is read again when it moves itself, for what is only told there. */
function follow({ value: group, change, reload }, events) {
  if (events.some((event) => event.subject === group.id || event.type === "snapshot")) return reload();
  const places = new Map(group.runs.map((run, at) => [run.test_run_id, at]));
  const own = events.filter((event) => places.has(event.subject));
  if (!own.length) return undefined;
  const runs = [...group.runs];
  for (const event of own) runs[places.get(event.subject)] = patchRun(runs[places.get(event.subject)], event);
  return change({ ...group, runs });
}

function Side({ run, changes, isBaseline, baseline }) {
  const name = useName("/v1/test-configurations", run.test_configuration_id);
  return html`<tr><td><${Status} of=${run.status} /></td>
    <td><a href="#/runs/${run.test_run_id}">${name}</a>${isBaseline ? html` <span class="tag">baseline</span>` : baseline ? html` <a class="tag" href="#/runs/${run.test_run_id}/compare/${baseline}">compare</a>` : null}</td>
    <td class="wide"><${Bar} counts=${run} /></td><td class="number">${formatShare(run.pass_rate)}</td>
    <td class="number">${changes ? formatNumber(changes.newly_passing) : "–"}</td><td class="number">${changes ? formatNumber(changes.newly_failing + changes.newly_errored) : "–"}</td></tr>`;
}

function Differences({ group }) {
  const change = place.value.query.get("change");
  const list = useList({ path: `/v1/run-groups/${group.id}/differences`, query: { change }, keyOf: (difference) => difference.test_id });
  return html`<section><h2>Differences</h2><p class="faint">${formatNumber(group.comparison.differing)} of ${formatNumber(group.comparison.tests)} tests did not come out the same everywhere.</p>
    <${Choice} label="Show" values=${CHANGES} chosen=${change} onChoose=${(chosen) => filter({ change: chosen })} />
    <${Listed} list=${list} empty="There is none of these.">
      <div class="results">${list.items.map((difference) => html`<${DifferentTest} key=${difference.test_id} difference=${difference} group=${group} />`)}</div><//></section>`;
}

function DifferentTest({ difference, group }) {
  const configurations = new Map(group.runs.map((run) => [run.test_run_id, run.test_configuration_id]));
  return html`<details class="result"><summary><span class="outcomes">${difference.outcomes.map((outcome) => html`<${Status} key=${outcome.test_run_id} of=${outcome.result?.status ?? "none"} />`)}</span>
      <span class="place">#${difference.position + 1}</span><span class="asked">${shorten(difference.input ?? "")}</span></summary>
    <div class="result-body">${difference.input ? html`<section><h3>Input</h3><${Verbatim} of=${difference.input} /></section>` : null}
      <div class="sides">${difference.outcomes.map((outcome) => html`<${Outcome} key=${outcome.test_run_id} outcome=${outcome} configuration=${configurations.get(outcome.test_run_id)} />`)}</div></div></details>`;
}

function Outcome({ outcome, configuration }) {
  const name = useName("/v1/test-configurations", configuration);
  return html`<${Answered} name=${outcome.change ? `${name}, ${words(outcome.change).toLowerCase()}` : name} result=${outcome.result} />`;
}
