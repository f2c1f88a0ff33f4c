// A section of a page with a list.
import { html } from "../vendor/preact.js";
import { Listed } from "./listed.js";

export function Listing({ title, ...listed }) {
  return html`<section><h2>${title}</h2><${Listed} ...${listed} /></section>`;
}
