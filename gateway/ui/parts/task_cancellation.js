// Cancels all open tasks that a filter finds, after it has told how many they are.
import { html, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { formatCount, formatNumber } from "../format.js";
import { useAction } from "./action.js";
import { Refusal } from "./basics.js";

export function TaskCancellation({ filter }) {
  const [found, setFound] = useState(null);
  const { isBusy, problem, act } = useAction();
  const ask = (isDry) => act(async () => setFound(await post("/v1/tasks/cancel", { filter, dry_run: isDry })));
  if (!found) return html`<button type="button" disabled=${isBusy} title="Cancel the open tasks that the filter shows" onClick=${() => ask(true)}>Cancel open tasks…</button><${Refusal} problem=${problem} />`;
  return html`<span role="status">${words(found)}</span>
    ${found.dry_run && found.cancelled ? html`<button type="button" class="danger" disabled=${isBusy} onClick=${() => ask(false)}>Cancel ${formatCount(found.cancelled, "task")}</button>` : null}
    ${!found.dry_run && found.left ? html`<button type="button" disabled=${isBusy} onClick=${() => ask(true)}>Go on…</button>` : null}
    <button type="button" onClick=${() => setFound(null)}>${found.dry_run && found.cancelled ? "Keep them" : "Good"}</button><${Refusal} problem=${problem} />`;
}

/** One request cancels so many at most; what is left takes another one. Tasks that work for runs are not meant. */
function words({ dry_run: isDry, cancelled, left }) {
  if (isDry && !cancelled) return "No open task is like this; those of runs are cancelled with their run.";
  const others = left ? `, ${formatNumber(left)} more are left` : "";
  return isDry ? `${formatCount(cancelled, "task")} would be cancelled${others}.` : `${formatCount(cancelled, "task")} cancelled${others}.`;
}
