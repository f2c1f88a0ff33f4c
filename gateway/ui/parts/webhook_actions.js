// What can be done with an endpoint: turn it on or off, try it, give it another secret, repeat what it missed, remove it.
import { html, useState } from "../vendor/preact.js";
import { patch, post, remove } from "../api.js";
import { formatCount } from "../format.js";
import { go } from "../router.js";
import { useAction } from "./action.js";
import { Refusal, SureButton } from "./basics.js";
import { Secret } from "./secret.js";

const HOUR = 3_600_000;
const SPANS = [["of the last hour", HOUR], ["of the last day", 24 * HOUR], ["of the last week", 168 * HOUR]];

/** `onDone` is called when the endpoint, or what was sent to it, is another. */
export function WebhookActions({ endpoint, onDone }) {
  const { isBusy, problem, act } = useAction();
  const [said, setSaid] = useState(null);
  const path = `/v1/webhook-endpoints/${endpoint.id}`;
  const change = (work) => act(async () => { setSaid(await work()); onDone(); });
  const turn = () => change(async () => { await patch(path, { enabled: !endpoint.enabled }); });
  const test = () => change(async () => html`A <a href="#/deliveries/${(await post(`${path}/test`)).id}">test</a> is on its way.`);
  const rotate = () => change(async () => html`<${Secret} of=${(await post(`${path}/rotate`)).secret}>This secret signs from now on, and the one before it for another day.<//>`);
  const recover = (milliseconds) => change(async () => recovered(await post(`${path}/recover`, { since: new Date(Date.now() - milliseconds).toISOString() })));
  return html`<div class="actions">
      <button type="button" disabled=${isBusy} onClick=${turn}>${endpoint.enabled ? "Disable" : "Enable"}</button>
      <button type="button" disabled=${isBusy} onClick=${test}>Send a test</button>
      <label class="hidden" for="recover">Send again what was not delivered</label>
      <select id="recover" value="" disabled=${isBusy} onChange=${({ target }) => { if (target.value) recover(Number(target.value)); target.value = ""; }}>
        <option value="">Send again what failed…</option>${SPANS.map(([words, span]) => html`<option key=${span} value=${span}>${words}</option>`)}</select>
      <${SureButton} label="Rotate the secret" disabled=${isBusy} onSure=${rotate} />
      <${SureButton} label="Remove" disabled=${isBusy} onSure=${() => act(async () => { await remove(path); go("/webhooks"); })} />
      <${Refusal} problem=${problem} />${said ? html`<div class="said" role="status">${said}</div>` : null}</div>`;
}

function recovered({ recovered: count, more }) {
  return `Sends again ${formatCount(count, "delivery", "deliveries")}${more ? "; there are others, ask once more" : ""}.`;
}
