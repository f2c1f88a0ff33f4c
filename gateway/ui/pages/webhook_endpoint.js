import { html } from "../vendor/preact.js";

export function WebhookEndpoint() {
  return html`<h1>WebhookEndpoint</h1>`;
}
