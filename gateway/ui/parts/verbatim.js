// What somebody else wrote, as it is: text for people, everything else as JSON.
import { html } from "../vendor/preact.js";
import { formatValue } from "../format.js";

/** Long texts are scrolled, with keys too. */
export function Verbatim({ of }) {
  return html`<div class="text"><pre tabindex="0">${formatValue(of)}</pre></div>`;
}
