import { html } from "../vendor/preact.js";

export function Webhooks() {
  return html`<h1>Webhooks</h1>`;
}
