// One run, live: counters, plots, the field of its tests, what went wrong, and what can be done with it.
import { html, signal, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { get, pages } from "../api.js";
import { formatMilliseconds, formatNumber, formatSeconds, formatShare } from "../format.js";
import { Bar } from "../parts/bar.js";
import { Figure, Id, Refusal, Status } from "../parts/basics.js";
import { Grid } from "../parts/grid.js";
import { useDefinition } from "../parts/names.js";
import { Plot } from "../parts/plot.js";
import { useReading } from "../parts/reading.js";
import { RunActions } from "../parts/run_actions.js";
import { RunResults, TestDialog } from "../parts/run_results.js";
import { RunStatistics } from "../parts/run_statistics.js";
import { RunProgress } from "../run_progress.js";
import { passRate } from "../run_status.js";
import { session } from "../session.js";
import { CONNECTIONS, follow } from "../stream.js";

/** Figures and plots are drawn this often at most, cells with every frame. */
const REDRAW_MILLISECONDS = 250;
const RESULTS_PAGE = 200;

export function Run({ id }) {
  const isTicket = session.value.isTicket;
  const reading = useReading((signal) => (isTicket ? Promise.resolve(null) : get(`/v1/test-runs/${id}`, {}, { signal })), [id]);
  if (reading.value === undefined) return html`<h1>Run</h1><${Refusal} problem=${reading.problem} retry=${reading.reload} />`;
  return html`<${LiveRun} key=${id} id=${id} run=${reading.value} reload=${reading.reload} />`;
}

function LiveRun({ id, run, reload }) {
  const progress = useMemo(() => begun(run), [id]);
  const { frame, version, connection, problem } = useProgress(id, progress);
  const [opened, setOpened] = useState(null);
  useEffect(() => { if (progress.isEnded || progress.status === "running") reload(); }, [progress.status]);
  const series = useMemo(() => progress.series(), [version]);
  const columns = useMemo(() => ({ rates: [series.times, series.rates], latencies: [series.times, series.p50, series.p95] }), [series]);
  const configuration = useDefinition("/v1/test-configurations", run?.test_configuration_id);
  return html`<header class="title"><div>
      <p class="above"><a href="#/runs">Runs</a>${run?.run_group_id ? html` / <a href="#/groups/${run.run_group_id}">group</a>` : null}</p>
      <h1>${configuration?.name ?? "Run"} <${Status} of=${progress.status} /></h1>
      <p class="faint"><${Id} of=${id} /> ${said(connection, progress)} ${run ? html`<${Origin} run=${run} />` : null}</p></div>
      ${run ? html`<${RunActions} run=${run} isEnded=${progress.isEnded} testSetId=${configuration?.test_set_id} />` : null}</header>
    ${progress.reason ? html`<p class="reason">${progress.reason}</p>` : null}
    <${Refusal} problem=${problem} />
    <${Bar} counts=${progress.counts} />
    <${Figures} progress=${progress} series=${series} />
    <div class="plots">
      <${Plot} title="Tests a second" columns=${columns.rates} lines=${[{ label: "tests a second", colour: "--accent", bars: true }]} format=${formatNumber}
        said="Tests a second over time, ${formatNumber(series.rates.at(-2))} lately" />
      <${Plot} title="Latency" columns=${columns.latencies} lines=${[{ label: "median", colour: "--accent" }, { label: "95th percentile", colour: "--warn" }]} format=${formatMilliseconds}
        said="Latency over time; the median was ${formatMilliseconds(series.p50.at(-1))} lately" />
    </div>
    <section><h2>Tests</h2><${Grid} progress=${progress} frame=${frame} onOpen=${setOpened} /></section>
    ${run ? html`<${RunStatistics} id=${id} isEnded=${progress.isEnded} /><${RunResults} id=${id} counts=${progress.counts} isEnded=${progress.isEnded} />` : null}
    ${opened && run ? html`<${TestDialog} id=${id} execution=${opened} onClose=${() => setOpened(null)} />` : null}`;
}

function begun(run) {
  const progress = new RunProgress({ total: run?.total ?? null, repeats: run?.settings?.repeats ?? 1 });
  if (run) progress.stand(run);
  return progress;
}

/** Follow the run; `frame` is a signal for what is drawn at once, `version` changes with what is drawn less often. */
function useProgress(id, progress) {
  const frame = useMemo(() => signal(0), [id]);
  const [version, setVersion] = useState(0);
  const [state, setState] = useState({ connection: "connecting", problem: null });
  const waiting = useRef({});
  useEffect(() => {
    const abort = new AbortController();
    const changed = () => {
      waiting.current.frame ??= requestAnimationFrame(() => { waiting.current.frame = null; frame.value += 1; });
      waiting.current.timer ??= setTimeout(() => { waiting.current.timer = null; setVersion((number) => number + 1); }, REDRAW_MILLISECONDS);
    };
    follow(`/v1/test-runs/${id}/events`, {
      after: "0",
      signal: abort.signal,
      onState: (connection, problem = null) => {
        setState({ connection, problem });
        if (problem) readResults(id, progress, changed, abort.signal);
      },
      onEvents: (events) => { for (const event of events) progress.apply(event); changed(); },
      onReset: () => readResults(id, progress, changed, abort.signal),
    });
    return () => {
      abort.abort();
      cancelAnimationFrame(waiting.current.frame);
      clearTimeout(waiting.current.timer);
      waiting.current = {};
    };
  }, [id]);
  return { frame, version, ...state };
}

/** Of a run whose events are too old to be kept, or not for this key to see: its results themselves. */
async function readResults(id, progress, changed, signal) {
  if (session.value.isTicket) return;
  for await (const results of pages(`/v1/test-runs/${id}/results`, { limit: RESULTS_PAGE }, { signal })) {
    for (const result of results) if (result.status !== "pending") progress.note(result);
    changed();
  }
}

function Figures({ progress, series }) {
  const { counts, startedAt, endedAt } = progress;
  const last = endedAt ?? progress.finished.at(-1) ?? startedAt;
  const seconds = startedAt ? (last - startedAt) / 1000 : null;
  const rate = seconds ? progress.finished.length / seconds : null;
  const left = rate && !progress.isEnded ? counts.pending / rate : null;
  return html`<dl class="figures">
    <${Figure} name="Tests" value=${formatNumber(counts.total)} />
    <${Figure} name="Passed" value=${formatNumber(counts.passed)} tone="good" />
    <${Figure} name="Failed" value=${formatNumber(counts.failed)} tone="bad" hint="Wrong answers" />
    <${Figure} name="Errors" value=${formatNumber(counts.errored)} tone="odd" hint="Tests that could not be executed or judged" />
    <${Figure} name="Pending" value=${formatNumber(counts.pending)} />
    ${counts.cancelled ? html`<${Figure} name="Cancelled" value=${formatNumber(counts.cancelled)} />` : null}
    ${counts.unscored ? html`<${Figure} name="Unscored" value=${formatNumber(counts.unscored)} />` : null}
    <${Figure} name="Pass rate" value=${formatShare(passRate(counts))} />
    <${Figure} name="Tests a second" value=${formatNumber(rate)} />
    <${Figure} name="Median latency" value=${formatMilliseconds(series.median)} />
    ${left === null ? html`<${Figure} name="Took" value=${formatSeconds(seconds)} />` : html`<${Figure} name="Time left" value=${formatSeconds(Math.ceil(left))} />`}
  </dl>`;
}

function Origin({ run }) {
  const before = run.rescore_of ?? run.rerun_of;
  return before ? html`${run.rescore_of ? "judges again" : "executes again"} <a href="#/runs/${before}">another run</a>` : null;
}

function said(connection, progress) {
  if (progress.isEnded) return "";
  return CONNECTIONS[connection] ?? "";
}
