// Everything that happens in the organization, as it happens.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { EventLog, MOST } from "../event_log.js";
import { formatCount, formatNumber } from "../format.js";
import { Empty, Refusal } from "../parts/basics.js";
import { EventRow } from "../parts/event_row.js";
import { SelectFilter, TextFilter } from "../parts/filters.js";
import { filter, place } from "../router.js";
import { RUN_STATUSES } from "../run_status.js";
import { CONNECTIONS, follow } from "../stream.js";
import { TASK_STATUSES } from "./tasks.js";

const FAMILIES = ["task", "test_run", "test_result", "run_group", "webhook_endpoint"];
const STATUSES = [...TASK_STATUSES, ...RUN_STATUSES, "pass", "fail", "error", "unscored"];
const BEGINNINGS = [["", "now"], ["earliest", "the oldest that is kept"]];

export function Events() {
  const { query } = place.value;
  const families = query.getAll("types");
  const wanted = { types: families.map((family) => `${family}.*`), status: query.get("status"), task_name: query.get("name"), test_run_id: query.get("run") };
  const after = query.get("from") || undefined;
  const turn = (family) => filter({ types: families.includes(family) ? families.filter((one) => one !== family) : [...families, family] });
  return html`<header class="title"><h1>Events</h1></header>
    <fieldset class="choice"><legend>About</legend>${FAMILIES.map((family) => html`<button type="button" key=${family} aria-pressed=${String(families.includes(family))} onClick=${() => turn(family)}>${family.replaceAll("_", " ")}s</button>`)}</fieldset>
    <div class="filters"><${TextFilter} name="status" label="Status" suggestions=${STATUSES} /><${TextFilter} name="name" label="Task's name" /><${TextFilter} name="run" label="Run" /><${SelectFilter} name="from" label="From" choices=${BEGINNINGS} /></div>
    <${LiveEvents} key=${query.toString()} wanted=${wanted} after=${after} />`;
}

/** One stream with one set of filters. */
function LiveEvents({ wanted, after }) {
  const [isPaused, setPaused] = useState(false);
  const { log, version, connection, problem } = useEventLog(wanted, after, isPaused);
  const rows = useMemo(() => html`<div class="results">${log.rows.map(drawn)}</div>`, [version, log.shown]);
  return html`<div class="inline live-line"><button type="button" aria-pressed=${String(isPaused)} onClick=${() => setPaused(!isPaused)}>${isPaused ? "Go on" : "Pause"}</button>
      <span class="connection ${connection}" role="status">${CONNECTIONS[connection] ?? "not live"}</span>
      <span class="faint">${formatCount(log.shown, "event")}${log.shown > MOST ? `, the newest ${MOST} are shown` : ""}${isPaused ? `; ${formatNumber(log.waiting)} more have arrived` : ""}</span></div>
    <${Refusal} problem=${problem} />
    ${log.rows.length ? rows : problem ? null : html`<${Empty}>Nothing has happened${after ? "" : " since this page was opened"}.<//>`}`;
}

/** Drawn once for each row: what has not changed costs nothing when others come. */
const drawings = new WeakMap();
function drawn(row) {
  if (!drawings.has(row)) drawings.set(row, html`<${EventRow} key=${row.key} row=${row} />`);
  return drawings.get(row);
}

/** Whatever arrives within a frame is drawn with it; nothing is while the reader has paused or looks elsewhere. */
function useEventLog(wanted, after, isPaused) {
  const log = useMemo(() => new EventLog(), []);
  const [version, setVersion] = useState(0);
  const [state, setState] = useState({ connection: "connecting", problem: null });
  const frame = useRef(null);
  const paused = useRef(isPaused);
  const redraw = () => {
    frame.current ??= requestAnimationFrame(() => {
      frame.current = null;
      if (!paused.current) log.show();
      setVersion((number) => number + 1);
    });
  };
  useEffect(() => { paused.current = isPaused; redraw(); }, [isPaused]);
  useEffect(() => {
    const abort = new AbortController();
    follow("/v1/events", {
      query: wanted,
      after,
      signal: abort.signal,
      onState: (connection, problem = null) => setState({ connection, problem }),
      onEvents: (events) => { log.add(events); redraw(); },
      onReset: () => { log.addGap(); redraw(); },
    });
    return () => { abort.abort(); cancelAnimationFrame(frame.current); };
  }, []);
  return { log, version, ...state };
}
