// A list that was read: why it could not be, what it has or that it has nothing, and the way to more of it.
import { html } from "../vendor/preact.js";
import { Empty, More, Refusal } from "./basics.js";

/** `children` are what it has; with `columns` they are rows of a table. */
export function Listed({ list, columns, empty, children }) {
  return html`<${Refusal} problem=${list.problem} retry=${list.reload} />
    ${list.items.length ? (columns ? html`<${Table} columns=${columns}>${children}<//>` : children) : list.isLoading || list.problem ? null : html`<${Empty}>${empty}<//>`}
    <${More} list=${list} />`;
}

const KINDS = { "#": "number", "~": "wide" };

/** `columns` are names of columns; one that begins with # has numbers, with ~ what is as wide as there is room. */
export function Table({ columns, children }) {
  return html`<table class="rows"><thead><tr>${columns.map((name) => html`<th key=${name} class=${KINDS[name[0]] ?? ""}>${name.replace(/^[#~]/, "")}</th>`)}</tr></thead><tbody>${children}</tbody></table>`;
}
