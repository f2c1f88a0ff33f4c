import { html } from "../vendor/preact.js";

export function WebhookDelivery() {
  return html`<h1>WebhookDelivery</h1>`;
}
