// Runs as a ticket sees them: those that have moved lately, put together from the events alone.
import { html, useEffect, useState } from "../vendor/preact.js";
import { formatShare } from "../format.js";
import { Bar } from "../parts/bar.js";
import { Empty, Id, Refusal, Status, Time } from "../parts/basics.js";
import { Table } from "../parts/listed.js";
import { passRate } from "../run_status.js";
import { follow } from "../stream.js";

const MOST = 100;

export function WatchedRuns() {
  const [runs, setRuns] = useState([]);
  const [problem, setProblem] = useState(null);
  const take = (events) => setRuns((known) => merged(known, events));
  useEffect(() => {
    const abort = new AbortController();
    follow("/v1/events", { query: { types: ["test_run.*"] }, after: "earliest", signal: abort.signal, onEvents: take, onState: (_, refusal) => setProblem(refusal) });
    return () => abort.abort();
  }, []);
  return html`<header class="title"><h1>Runs</h1></header><p class="faint">A ticket only watches: this is what the events of the last days tell.</p>
    <${Refusal} problem=${problem} />
    ${runs.length ? html`<${Table} columns=${["Status", "Run", "~Tests", "#Passed", "Moved"]}>
      ${runs.map((run) => html`<tr key=${run.id}><td><${Status} of=${run.status} /></td><td><a href="#/runs/${run.id}">run</a> <${Id} of=${run.id} /></td><td class="wide"><${Bar} counts=${run.counts} /></td>
        <td class="number">${formatShare(passRate(run.counts))}</td><td><${Time} at=${run.at} /></td></tr>`)}<//>` : html`<${Empty}>No run has moved.<//>`}`;
}

/** The latest runs after these events, the one that began last first. */
function merged(known, events) {
  const runs = new Map(known.map((run) => [run.id, run]));
  for (const { type, subject, seq, at, data } of events) {
    if (type.startsWith("test_run.") && seq > (runs.get(subject)?.seq ?? 0)) runs.set(subject, { id: subject, seq, at, status: data.status, counts: data.counts });
  }
  return [...runs.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, MOST);
}
