// How the tests of a run stand, as one bar.
import { html, useEffect, useRef } from "../vendor/preact.js";
import { formatNumber } from "../format.js";

const PARTS = [["passed", "good"], ["failed", "bad"], ["errored", "odd"], ["unscored", "calm"], ["cancelled", "off"]];

export function Bar({ counts }) {
  const total = counts.total ?? 0;
  const done = total - counts.pending;
  const said = total ? `${formatNumber(done)} of ${formatNumber(total)} tests: ${PARTS.filter(([name]) => counts[name]).map(([name]) => `${formatNumber(counts[name])} ${name}`).join(", ") || "none has ended"}` : "not planned yet";
  return html`<div class="bar" role="img" aria-label=${said} title=${said}>
    ${PARTS.map(([name, tone]) => html`<${Part} key=${name} tone=${tone} share=${total ? counts[name] / total : 0} />`)}
  </div>`;
}

/** Its width is set from here: the page's policy takes no styles out of markup. */
function Part({ tone, share }) {
  const part = useRef(null);
  useEffect(() => { part.current.style.width = `${100 * share}%`; }, [share]);
  return html`<span class="part ${tone}" ref=${part}></span>`;
}
