// A secret that signs, shown once.
import { html, useState } from "../vendor/preact.js";

export function Secret({ of, children }) {
  const [isCopied, setCopied] = useState(false);
  return html`<div class="secret" role="status"><p>${children}</p><p class="inline"><code>${of}</code>
    <button type="button" onClick=${() => navigator.clipboard?.writeText(of).then(() => setCopied(true))}>${isCopied ? "Copied" : "Copy"}</button></p></div>`;
}
