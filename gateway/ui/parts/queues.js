// The queues, how much is in them and whose it is, and what empties one.
import { html, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { formatCount, formatNumber } from "../format.js";
import { useAction } from "./action.js";
import { Refusal, Time } from "./basics.js";
import { Dialog } from "./dialog.js";
import { Listing } from "./listing.js";
import { useRefreshingList } from "./refreshing.js";

export function Queues() {
  const list = useRefreshingList("/v1/admin/queues");
  const [purged, setPurged] = useState(null);
  return html`<${Listing} title="Queues" list=${list} columns=${["Queue", "#Ready", "#Delayed", "#Leased", "#Consumers", "Oldest ready", "Whose", "Actions"]} empty="No queue has been used.">
      ${list.items.map((queue) => html`<${QueueRow} key=${queue.queue} queue=${queue} onPurge=${() => setPurged(queue.queue)} />`)}<//>
    ${purged === null ? null : html`<${PurgeDialog} queue=${purged} onClose=${() => { setPurged(null); list.reload(); }} />`}`;
}

function QueueRow({ queue, onPurge }) {
  return html`<tr><td>${queue.queue}</td><td class="number" data-label="ready">${formatNumber(queue.ready)}</td><td class="number" data-label="delayed">${formatNumber(queue.delayed)}</td><td class="number" data-label="leased">${formatNumber(queue.leased)}</td>
    <td class="number" data-label="consumers">${formatNumber(queue.consumers)}</td><td data-label="oldest"><${Time} at=${queue.oldest_ready_at} /></td><td data-label="whose">${whose(queue)}</td><td class="number"><button type="button" onClick=${onPurge}>Purge…</button></td></tr>`;
}

function whose({ organizations, organization_count: count }) {
  const named = organizations.map(({ organization, ready, delayed, leased }) => `${organization ?? "nobody"} ${formatNumber(ready + delayed + leased)}`);
  return [...named, ...(count > named.length ? [formatCount(count - named.length, "other")] : [])].join(", ") || "–";
}

/** The name has to be typed, as the API wants it said twice. */
function PurgeDialog({ queue, onClose }) {
  const [typed, setTyped] = useState("");
  const [purged, setPurged] = useState(null);
  const { isBusy, problem, act } = useAction();
  const submit = (event) => {
    event.preventDefault();
    act(async () => setPurged((await post(`/v1/admin/queues/${encodeURIComponent(queue)}/purge`, { confirm: typed })).messages));
  };
  return html`<${Dialog} title="Purge ${queue}" onClose=${onClose}>
    ${purged === null ? html`<form class="fields" onSubmit=${submit}><p>All that waits in it is removed: its tasks end as REVOKED, its runs as cancelled, of every organization.</p>
      <label class="field">Type the queue's name<input value=${typed} autocomplete="off" onInput=${({ target }) => setTyped(target.value)} /></label>
      <${Refusal} problem=${problem} /><button class="danger" disabled=${isBusy || typed !== queue}>Purge</button></form>`
      : html`<p role="status">Removed ${formatCount(purged, "message")}.</p>`}<//>`;
}
