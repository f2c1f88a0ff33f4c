// Whether an endpoint is told anything, and if not, why.
import { html } from "../vendor/preact.js";
import { Status } from "./basics.js";

const REASONS = { request: "somebody asked for it", gone: "the receiver said that it is gone", failing: "nothing was delivered for days" };

export function EndpointStatus({ endpoint }) {
  return html`<${Status} of=${endpoint.enabled ? "enabled" : "disabled"} />${endpoint.disabled_reason ? html` <span class="faint">${REASONS[endpoint.disabled_reason] ?? endpoint.disabled_reason}</span>` : null}`;
}
