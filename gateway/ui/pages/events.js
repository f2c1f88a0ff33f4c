import { html } from "../vendor/preact.js";

export function Events() {
  return html`<h1>Events</h1>`;
}
