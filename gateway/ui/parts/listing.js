// A section of a page with a list that refreshes itself, or with why it has none.
import { html } from "../vendor/preact.js";
import { Empty, More, Refusal } from "./basics.js";

/** `columns` are names of columns; one that begins with # has numbers. */
export function Listing({ title, list, columns, empty, children }) {
  return html`<section><h2>${title}</h2><${Refusal} problem=${list.problem} retry=${list.reload} />
    ${list.items.length ? html`<table class="rows"><thead><tr>${columns.map((name) => html`<th key=${name} class=${name.startsWith("#") ? "number" : ""}>${name.replace("#", "")}</th>`)}</tr></thead><tbody>${children}</tbody></table>`
      : list.isLoading || list.problem ? null : html`<${Empty}>${empty}<//>`}
    <${More} list=${list} /></section>`;
}
