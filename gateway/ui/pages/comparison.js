// Two runs of a test set: which tests came out differently.
import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { formatNumber, formatShare, formatTime, shorten } from "../format.js";
import { Choice, Figure, Refusal, Status } from "../parts/basics.js";
import { useList } from "../parts/list.js";
import { Listed, Table } from "../parts/listed.js";
import { useReading } from "../parts/reading.js";
import { Verbatim } from "../parts/verbatim.js";
import { filter, place } from "../router.js";
import { passRate } from "../run_status.js";

const CHANGES = ["newly_failing", "newly_passing", "newly_errored", "otherwise", "unchanged", "only_in_run", "only_in_baseline"];
const DIFFERENT = CHANGES.filter((change) => change !== "unchanged").join();

export function Comparison({ id, other }) {
  const path = `/v1/test-runs/${id}/compare/${other}`;
  const chosen = place.value.query.get("change");
  const head = useReading((signal) => get(path, { limit: 1 }, { signal }), [path]);
  const list = useList({ path, query: { change: chosen ?? DIFFERENT }, keyOf: (test) => `${test.run?.test_id}/${test.baseline?.test_id}` });
  return html`<header class="title"><div><p class="above"><a href="#/runs">Runs</a> / <a href="#/runs/${id}">run</a></p><h1>Comparison</h1></div></header>
    <${Refusal} problem=${head.problem} retry=${head.reload} />
    ${head.value ? html`<${Sides} run=${head.value.run} baseline=${head.value.baseline} /><dl class="figures">${CHANGES.map((change) => html`<${Figure} key=${change} name=${words(change)} value=${formatNumber(head.value.counts[change])} />`)}</dl>` : null}
    <${Choice} label="Show" values=${CHANGES} chosen=${chosen} onChoose=${(change) => filter({ change })} />
    ${head.problem ? null : html`<${Listed} list=${list} empty=${chosen ? "There is none of these." : "Every test came out the same."}>
      <div class="results">${list.items.map((test) => html`<${ComparedTest} key=${`${test.run?.test_id}/${test.baseline?.test_id}`} test=${test} />`)}</div><//>`}`;
}

function Sides({ run, baseline }) {
  return html`<${Table} columns=${["Run", "Status", "Created", "#Tests", "#Passed", "#Failed", "#Errors"]}><${Side} name="This run" run=${run} /><${Side} name="Baseline" run=${baseline} /><//>`;
}

function Side({ name, run }) {
  const whole = useReading((signal) => get(`/v1/test-runs/${run.test_run_id}`, {}, { signal }), [run.test_run_id]).value;
  return html`<tr><td><a href="#/runs/${run.test_run_id}">${name}</a></td><td><${Status} of=${run.status} /></td><td>${formatTime(whole?.created_at)}</td><td class="number">${formatNumber(run.total)}</td>
    <td class="number">${formatNumber(run.passed)} (${formatShare(passRate(run))})</td><td class="number">${formatNumber(run.failed)}</td><td class="number">${formatNumber(run.errored)}</td></tr>`;
}

function ComparedTest({ test }) {
  return html`<details class="result"><summary><${Status} of=${test.change} /><span class="place">#${(test.run ?? test.baseline).position + 1}</span><span class="asked">${shorten(test.input ?? "")}</span></summary>
    <div class="result-body">${test.input ? html`<section><h3>Input</h3><${Verbatim} of=${test.input} /></section>` : null}
      <div class="sides"><${Answered} name="This run" result=${test.run} /><${Answered} name="Baseline" result=${test.baseline} /></div></div></details>`;
}

export function Answered({ name, result }) {
  if (!result) return html`<section class="text"><h3>${name}</h3><p class="faint">not in this run</p></section>`;
  return html`<section class="text"><h3>${name} <${Status} of=${result.status} />${result.repeats > 1 ? html` <span class="faint">${result.passed} of ${result.repeats} passed</span>` : null}</h3>
    ${result.output === null ? html`<p class="faint">nothing was answered</p>` : html`<${Verbatim} of=${result.output} />`}${result.reason ? html`<p class="faint">${result.reason}</p>` : null}</section>`;
}

export function words(change) {
  return change.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
}
