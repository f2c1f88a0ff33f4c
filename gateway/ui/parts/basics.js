// Small pieces of every page: statuses, times, problems, buttons that ask twice.
import { html, useEffect, useState } from "../vendor/preact.js";
import { formatTime, shortId } from "../format.js";

/** Words of the API for how something is, and how each looks. */
const TONES = {
  completed: "good", SUCCESS: "good", pass: "good", delivered: "good", alive: "good", enabled: "good", newly_passing: "good", done: "good",
  partial: "warn", RETRY: "warn", exhausted: "bad", denied: "bad",
  failed: "bad", FAILURE: "bad", fail: "bad", gone: "bad", newly_failing: "bad", newly_errored: "odd",
  error: "odd", errored: "odd", disabled: "odd",
  running: "busy", STARTED: "busy", PROGRESS: "busy",
};

export function Status({ of }) {
  return html`<span class="status ${TONES[of] ?? "calm"}">${String(of).replaceAll("_", " ")}</span>`;
}

export function Time({ at }) {
  return at ? html`<time datetime=${at} title=${at}>${formatTime(at)}</time>` : html`<span class="faint">–</span>`;
}

/** An id that is too long to read: its end, and all of it at a click. */
export function Id({ of }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    const timer = isCopied && setTimeout(setCopied, 1500, false);
    return () => clearTimeout(timer);
  }, [isCopied]);
  const copy = () => navigator.clipboard?.writeText(of).then(() => setCopied(true));
  return html`<button type="button" class="id" title="Copy ${of}" aria-label="Copy the id ${of}" onClick=${copy}>${isCopied ? "copied" : shortId(of)}</button>`;
}

/** A refusal as the API words it, with what was wrong in particular. */
export function Refusal({ problem, retry }) {
  if (!problem) return null;
  return html`<div class="refusal" role="alert">
    <strong>${problem.title || "That did not work"}</strong>
    <p>${problem.message}</p>
    ${problem.errors?.length ? html`<ul>${problem.errors.map((error) => html`<li><code>${error.pointer ?? error.parameter ?? ""}</code> ${error.detail}</li>`)}</ul>` : null}
    ${problem.requestId ? html`<p class="faint">request <code>${problem.requestId}</code></p>` : null}
    ${retry ? html`<button type="button" onClick=${retry}>Try again</button>` : null}
  </div>`;
}

/** A button for what cannot be taken back: the second click within some seconds does it. */
export function SureButton({ label, onSure, disabled, kind = "" }) {
  const [isAsking, setAsking] = useState(false);
  useEffect(() => {
    const timer = isAsking && setTimeout(setAsking, 5000, false);
    return () => clearTimeout(timer);
  }, [isAsking]);
  const click = () => { if (isAsking) onSure(); setAsking(!isAsking); };
  return html`<button type="button" class=${isAsking ? "danger" : kind} disabled=${disabled} onClick=${click}>${isAsking ? `Sure? ${label}` : label}</button>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

export function More({ list }) {
  if (list.isLoading) return html`<p class="faint loading" role="status">Reading…</p>`;
  return list.more ? html`<button type="button" class="more" onClick=${list.more}>Show more</button>` : null;
}

/** A figure with its name, as a pair of a description list. */
export function Figure({ name, value, tone = "", hint }) {
  return html`<div class="figure ${tone}" title=${hint}><dt>${name}</dt><dd>${value}</dd></div>`;
}

/** Chips that choose one of several values of a filter, or none. */
export function Choice({ label, values, chosen, onChoose }) {
  return html`<fieldset class="choice"><legend>${label}</legend>
    ${["", ...values].map((value) => html`<button type="button" key=${value} aria-pressed=${String((chosen ?? "") === value)} onClick=${() => onChoose(value)}>${value ? value.replaceAll("_", " ") : "all"}</button>`)}
  </fieldset>`;
}
