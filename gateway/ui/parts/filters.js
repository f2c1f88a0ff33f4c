// Filters of a page that are words, each of them a part of the URL.
import { html } from "../vendor/preact.js";
import { filter, place } from "../router.js";

export function TextFilter({ name, label, suggestions = [] }) {
  const change = (event) => filter({ [name]: event.target.value.trim() });
  return html`<label>${label}<input type="search" value=${place.value.query.get(name) ?? ""} list=${suggestions.length ? `known-${name}` : undefined} autocomplete="off" spellcheck="false" onChange=${change} onSearch=${change} />
    ${suggestions.length ? html`<datalist id="known-${name}">${suggestions.map((one) => html`<option key=${one} value=${one} />`)}</datalist>` : null}</label>`;
}

/** `choices` are [value, words]; the first is meant where the URL has none. */
export function SelectFilter({ name, label, choices }) {
  const chosen = place.value.query.get(name) ?? choices[0][0];
  return html`<label>${label}<select value=${chosen} onChange=${(event) => filter({ [name]: event.target.value })}>${choices.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select></label>`;
}
