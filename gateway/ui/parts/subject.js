// What an event tells of: its id, and the page that shows it.
import { html } from "../vendor/preact.js";
import { session } from "../session.js";
import { Id } from "./basics.js";

/** By the family of an event's type. */
const PAGES = { task: "tasks", test_run: "runs", test_result: "runs", run_group: "groups", webhook_endpoint: "webhooks" };
/** What a ticket may open. */
const WATCHED = new Set(["runs"]);

export function Subject({ type, id }) {
  const page = PAGES[type.split(".")[0]];
  const isShown = page && (!session.value.isTicket || WATCHED.has(page));
  return html`${isShown ? html`<a href="#/${page}/${encodeURIComponent(id)}">Open the ${page.replace(/s$/, "")}</a> ` : null}<${Id} of=${id} />`;
}
