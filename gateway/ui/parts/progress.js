// How far a task is by its own account.
import { html } from "../vendor/preact.js";
import { formatNumber, formatSeconds, formatValue, shorten } from "../format.js";

/** A task may also tell whatever JSON it likes; that is shown as text. */
export function Progress({ of }) {
  if (of === null || of === undefined) return null;
  if (typeof of.done !== "number") return html`<span class="progress">${shorten(formatValue(of))}</span>`;
  const { done, total, fraction, message, eta_seconds: left } = of;
  const said = [total === undefined ? formatNumber(done) : `${formatNumber(done)} of ${formatNumber(total)}`, message, left && `${formatSeconds(Math.ceil(left))} left`].filter(Boolean).join(", ");
  return html`<span class="progress">${fraction === undefined ? null : html`<progress value=${fraction} max="1" aria-label="Progress"></progress>`}<span class="faint">${said}</span></span>`;
}
