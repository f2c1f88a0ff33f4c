// One delivery: what is sent, and what came of each attempt.
import { html, useEffect } from "../vendor/preact.js";
import { get, post } from "../api.js";
import { formatMilliseconds } from "../format.js";
import { useAction } from "../parts/action.js";
import { Id, Refusal, Status, Time } from "../parts/basics.js";
import { Listing } from "../parts/listing.js";
import { useRefreshing, useRefreshingList } from "../parts/refreshing.js";
import { Subject } from "../parts/subject.js";
import { Verbatim } from "../parts/verbatim.js";

const REFRESH_MILLISECONDS = 2000;

export function WebhookDelivery({ id }) {
  const path = `/v1/webhook-deliveries/${id}`;
  const { value: delivery, problem, reload } = useRefreshing((signal) => get(path, {}, { signal }), [path], { milliseconds: REFRESH_MILLISECONDS, isDone: (one) => one.status !== "pending" });
  const { isBusy, problem: refusal, act } = useAction();
  if (!delivery) return html`<h1>Delivery</h1><${Refusal} problem=${problem} retry=${reload} />`;
  return html`<header class="title"><div><p class="above"><a href="#/webhooks">Webhooks</a> / <a href="#/webhooks/${delivery.webhook_endpoint_id}">endpoint</a></p>
      <h1>${delivery.event_type} <${Status} of=${delivery.status} /></h1><p class="faint"><${Id} of=${id} /> ${delivery.callback_url ?? ""}</p></div>
      <div class="actions"><button type="button" disabled=${isBusy} onClick=${() => act(() => post(`${path}/resend`).then(reload))}>Send again</button><${Refusal} problem=${refusal} /></div></header>
    <${Refusal} problem=${problem} retry=${reload} />
    <dl class="facts"><div><dt>Made</dt><dd><${Time} at=${delivery.created_at} /></dd></div><div><dt>Attempts</dt><dd>${delivery.attempts}</dd></div>
      ${delivery.finished_at ? html`<div><dt>Ended</dt><dd><${Time} at=${delivery.finished_at} /></dd></div>` : html`<div><dt>Next attempt</dt><dd><${Time} at=${delivery.next_attempt_at} /></dd></div>`}
      <div><dt>Tells of</dt><dd><${Subject} type=${delivery.event_type} id=${delivery.subject_id} /></dd></div></dl>
    <${Attempts} path="${path}/attempts" count=${delivery.attempts} status=${delivery.status} />
    <section><h2>Payload</h2><${Verbatim} of=${delivery.payload} /></section>`;
}

function Attempts({ path, count, status }) {
  const list = useRefreshingList(path);
  useEffect(list.reload, [count, status]);
  return html`<${Listing} title="Attempts" list=${list} columns=${["#Attempt", "Answer", "Begins with", "#Took", "Ended"]} empty="There was none yet.">
    ${list.items.map((attempt) => html`<${AttemptRow} key=${attempt.number} attempt=${attempt} />`)}<//>`;
}

function AttemptRow({ attempt }) {
  const isTaken = attempt.error === null;
  return html`<tr><td class="number" data-label="attempt">${attempt.number}</td><td><${Status} of=${isTaken ? "delivered" : "failed"} /> ${attempt.http_status ?? ""} ${attempt.error ?? ""}</td>
    <td class="wide"><code>${attempt.response_excerpt ?? ""}</code></td><td class="number">${formatMilliseconds(attempt.duration_ms)}</td><td><${Time} at=${attempt.at} /></td></tr>`;
}
