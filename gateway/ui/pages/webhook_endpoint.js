// One endpoint: whether it is told what it wants, and every delivery to it.
import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { formatNumber } from "../format.js";
import { Choice, Figure, Id, Refusal, Status, Time } from "../parts/basics.js";
import { EndpointStatus } from "../parts/endpoint_status.js";
import { Listed } from "../parts/listed.js";
import { useRefreshing, useRefreshingList } from "../parts/refreshing.js";
import { WebhookActions } from "../parts/webhook_actions.js";
import { filter, place } from "../router.js";

const STATUSES = ["pending", "delivered", "exhausted", "skipped"];

export function WebhookEndpoint({ id }) {
  const path = `/v1/webhook-endpoints/${id}`;
  const { value, problem, reload } = useRefreshing((signal) => Promise.all([get(path, {}, { signal }), get(`${path}/statistics`, {}, { signal })]), [path]);
  const status = place.value.query.get("status");
  const deliveries = useRefreshingList("/v1/webhook-deliveries", { webhook_endpoint_id: id, status });
  const change = () => { reload(); deliveries.reload(); };
  if (!value) return html`<h1>Webhook endpoint</h1><${Refusal} problem=${problem} retry=${reload} />`;
  const [endpoint, statistics] = value;
  return html`<header class="title"><div><p class="above"><a href="#/webhooks">Webhooks</a></p>
      <h1>${endpoint.description || "Webhook endpoint"}</h1><p>${endpoint.url}</p><p><${EndpointStatus} endpoint=${endpoint} /> <${Id} of=${id} /></p></div>
      <${WebhookActions} key=${id} endpoint=${endpoint} onDone=${change} /></header>
    <${Refusal} problem=${problem} retry=${change} />
    ${endpoint.failing_since ? html`<p class="reason">Nothing has been delivered since <${Time} at=${endpoint.failing_since} />.</p>` : null}
    <p class="faint">${endpoint.kind === "callback" ? "It is told of the submissions that named it." : `It is told of ${endpoint.event_types.join(", ")}`}${endpoint.rate_per_second ? `, at most ${formatNumber(endpoint.rate_per_second)} a second` : ""}</p>
    <${Figures} of=${statistics} />
    <${Deliveries} list=${deliveries} status=${status} />`;
}

function Figures({ of }) {
  return html`<dl class="figures"><${Figure} name="Delivered" value=${formatNumber(of.delivered)} tone="good" /><${Figure} name="Pending" value=${formatNumber(of.pending)} />
    <${Figure} name="Exhausted" value=${formatNumber(of.exhausted)} tone=${of.exhausted ? "bad" : ""} hint="All attempts failed" /><${Figure} name="Skipped" value=${formatNumber(of.skipped)} hint="The endpoint was disabled" />
    <${Figure} name="Last answer" value=${of.last_attempt ? of.last_attempt.http_status ?? "none" : "–"} hint=${of.last_attempt?.error ?? ""} /><${Figure} name="Oldest pending" value=${html`<${Time} at=${of.oldest_pending_at} />`} /></dl>`;
}

function Deliveries({ list, status }) {
  return html`<section><h2>Deliveries</h2><${Choice} label="Status" values=${STATUSES} chosen=${status} onChoose=${(chosen) => filter({ status: chosen })} />
    <${Listed} list=${list} columns=${["Status", "Event", "Answer", "#Attempts", "Next attempt", "Made"]} empty=${status ? "No delivery stands so." : "Nothing has been sent."}>
      ${list.items.map((delivery) => html`<${DeliveryRow} key=${delivery.id} delivery=${delivery} />`)}<//></section>`;
}

function DeliveryRow({ delivery }) {
  return html`<tr><td><${Status} of=${delivery.status} /></td><td><a href="#/deliveries/${delivery.id}">${delivery.event_type}</a></td>
    <td>${delivery.http_status ?? ""} ${delivery.error ?? ""}</td><td class="number" data-label="attempts">${delivery.attempts}</td>
    <td data-label="next">${delivery.finished_at ? "–" : html`<${Time} at=${delivery.next_attempt_at} />`}</td><td><${Time} at=${delivery.created_at} /></td></tr>`;
}
