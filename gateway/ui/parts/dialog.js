// A dialog over the page, closed by its button, Escape or a click beside it.
import { html, useEffect, useRef } from "../vendor/preact.js";

export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  useEffect(() => { dialog.current.showModal(); }, []);
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose} onClick=${(event) => { if (event.target === dialog.current) dialog.current.close(); }}>
    <div class="dialog-body"><header><h2 id="dialog-title">${title}</h2><button type="button" onClick=${() => dialog.current.close()}>Close</button></header>
    <div class="dialog-content">${children}</div></div>
  </dialog>`;
}
