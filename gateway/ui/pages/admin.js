import { html } from "../vendor/preact.js";

export function Admin() {
  return html`<h1>Admin</h1>`;
}
