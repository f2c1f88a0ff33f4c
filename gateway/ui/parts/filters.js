// Filters of a page that are words, each of them a part of the URL.
import { html, useEffect, useState } from "../vendor/preact.js";
import { filter, place } from "../router.js";

/** What is typed counts when it is complete; lists that move meanwhile leave it alone. */
export function TextFilter({ name, label, suggestions = [] }) {
  const chosen = place.value.query.get(name) ?? "";
  const [typed, setTyped] = useState(chosen);
  useEffect(() => setTyped(chosen), [chosen]);
  const change = () => filter({ [name]: typed.trim() });
  return html`<label>${label}<input type="search" value=${typed} onInput=${({ target }) => setTyped(target.value)} list=${suggestions.length ? `known-${name}` : undefined} autocomplete="off" spellcheck="false" onChange=${change} onSearch=${change} />
    ${suggestions.length ? html`<datalist id="known-${name}">${suggestions.map((one) => html`<option key=${one} value=${one} />`)}</datalist>` : null}</label>`;
}

/** `choices` are [value, words]; the first is meant where the URL has none. */
export function SelectFilter({ name, label, choices }) {
  const chosen = place.value.query.get(name) ?? choices[0][0];
  return html`<label>${label}<select value=${chosen} onChange=${(event) => filter({ [name]: event.target.value })}>${choices.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select></label>`;
}
