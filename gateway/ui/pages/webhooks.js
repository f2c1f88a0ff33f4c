// The endpoints that are told of what happens, and a form for another one.
import { html, useState } from "../vendor/preact.js";
import { Time } from "../parts/basics.js";
import { EndpointStatus } from "../parts/endpoint_status.js";
import { Listed } from "../parts/listed.js";
import { useRefreshingList } from "../parts/refreshing.js";
import { WebhookForm } from "../parts/webhook_form.js";

export function Webhooks() {
  const [isCreating, setCreating] = useState(false);
  const list = useRefreshingList("/v1/webhook-endpoints");
  return html`<header class="title"><h1>Webhooks</h1><button type="button" class="primary" onClick=${() => setCreating(true)}>Add an endpoint</button></header>
    <${Listed} list=${list} columns=${["Status", "Endpoint", "Events", "Failing since", "Created"]} empty="Nobody is told. An endpoint is a URL that gets a signed request when a run, a group or a task ends.">
      ${list.items.map((endpoint) => html`<${EndpointRow} key=${endpoint.id} endpoint=${endpoint} />`)}<//>
    ${isCreating ? html`<${WebhookForm} onClose=${() => { setCreating(false); list.reload(); }} />` : null}`;
}

function EndpointRow({ endpoint }) {
  return html`<tr><td><${EndpointStatus} endpoint=${endpoint} /></td>
    <td><a href="#/webhooks/${endpoint.id}">${endpoint.description || endpoint.url}</a>${endpoint.kind === "callback" ? html` <span class="tag">callbacks</span>` : null}${endpoint.description ? html`<br /><span class="faint">${endpoint.url}</span>` : null}</td>
    <td>${endpoint.event_types.join(", ") || html`<span class="faint">those of its submissions</span>`}</td>
    <td data-label="failing since"><${Time} at=${endpoint.failing_since} /></td><td><${Time} at=${endpoint.created_at} /></td></tr>`;
}
