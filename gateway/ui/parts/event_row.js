// An event on one line, which opens to all that it says.
import { html, useState } from "../vendor/preact.js";
import { formatMilliseconds, formatNumber, shorten } from "../format.js";
import { Status, Time } from "./basics.js";
import { Subject } from "./subject.js";
import { Verbatim } from "./verbatim.js";

export function EventRow({ row }) {
  const [isOpen, setOpen] = useState(false);
  if (row.gap) return html`<p class="gap" role="status">Events are missing here: they were too old, or the server began anew. What follows is how things stand since.</p>`;
  const { event } = row;
  return html`<details class="result event" onToggle=${({ target }) => setOpen(target.open)}>
    <summary><${Time} at=${event.at} /><code>${event.type}</code>${event.data.status ? html`<${Status} of=${event.data.status} />` : html`<span></span>`}<span class="asked">${said(event)}</span></summary>
    ${isOpen ? html`<div class="result-body"><p><${Subject} type=${event.type} id=${event.subject} /></p><${Verbatim} of=${event} /></div>` : null}
  </details>`;
}

/** What is particular about it, in a few words. */
function said({ type, data }) {
  if (type === "snapshot") return "how things stand now";
  if (type.startsWith("test_result.")) return shorten([`test ${data.position + 1}`, formatMilliseconds(data.latency_ms), data.error?.message].filter(Boolean).join(", "));
  if (data.counts) return `${formatNumber((data.counts.total ?? 0) - data.counts.pending)} of ${formatNumber(data.counts.total)} tests`;
  if (type === "run_group.progress") return `${formatNumber(data.finished)} of ${formatNumber(data.total)} runs`;
  return shorten([data.name, data.error?.message ?? data.progress?.message].filter(Boolean).join(": "));
}
