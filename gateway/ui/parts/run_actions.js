// What can be done with a run: cancel it, execute it or judge it again, take it away, hold it against another one.
import { html } from "../vendor/preact.js";
import { address, get, post, problemOf } from "../api.js";
import { formatShare, formatTime } from "../format.js";
import { go } from "../router.js";
import { may, session } from "../session.js";
import { useAction } from "./action.js";
import { Refusal, SureButton } from "./basics.js";
import { useReading } from "./reading.js";

const FORMATS = ["jsonl", "csv", "junit"];
const LINGER_MILLISECONDS = 60_000;

export function RunActions({ run, isEnded, testSetId }) {
  const { isBusy, problem, act } = useAction();
  const ask = (verb) => act(async () => {
    const answer = await post(`/v1/test-runs/${run.id}/${verb}`);
    if (answer.test_run_id) go(`/runs/${answer.test_run_id}`);
  });
  const again = (verb, label) => html`<button type="button" disabled=${isBusy} onClick=${() => ask(verb)}>${label}</button>`;
  return html`<div class="actions">
    ${may("runs:write") ? (isEnded ? html`${again("retry", "Retry failed")}${again("rerun", "Run again")}${again("rescore", "Rescore")}`
      : html`<${SureButton} label="Cancel" disabled=${isBusy} onSure=${() => ask("cancel")} />`) : null}
    ${isEnded ? html`<${Exports} id=${run.id} act=${act} /><${Others} run=${run} testSetId=${testSetId} />` : null}
    <${Refusal} problem=${problem} />
  </div>`;
}

/** A download needs the credential, which a link cannot send. */
function Exports({ id, act }) {
  const take = async (format) => {
    const response = await fetch(address(`/v1/test-runs/${id}/export`, { format }), { headers: { Authorization: `Bearer ${session.value.credential}` } });
    if (!response.ok) throw await problemOf(response);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = `run-${id}.${format === "junit" ? "xml" : format}`;
    link.click();
    // The browser reads it after the click.
    setTimeout(() => URL.revokeObjectURL(link.href), LINGER_MILLISECONDS);
  };
  return html`<label class="hidden" for="export">Export</label><select id="export" value="" onChange=${(event) => { const format = event.target.value; if (format) act(() => take(format)); event.target.value = ""; }}>
    <option value="">Export…</option>${FORMATS.map((format) => html`<option key=${format} value=${format}>${format}</option>`)}</select>`;
}

/** Runs of the same test set that it can be compared with. */
function Others({ run, testSetId }) {
  const { value } = useReading((signal) => (testSetId ? get("/v1/test-runs", { test_set_id: testSetId, limit: 50 }, { signal }) : Promise.resolve({ items: [] })), [testSetId]);
  const others = (value?.items ?? []).filter((other) => other.id !== run.id && other.finished_at);
  if (!others.length) return null;
  return html`<label class="hidden" for="compare">Compare with</label><select id="compare" value="" onChange=${(event) => go(`/runs/${run.id}/compare/${event.target.value}`)}>
    <option value="">Compare with…</option>${others.map((other) => html`<option key=${other.id} value=${other.id}>${formatTime(other.created_at)}, ${formatShare(other.pass_rate)} passed</option>`)}</select>`;
}
