// The dashboard: who is signed in, which page is shown, and what is around it.
import { html, render, useEffect, useRef, useState } from "./vendor/preact.js";
import { connection, startLive } from "./live.js";
import { find, place, startRouter } from "./router.js";
import { choice, CHOICES, startScheme } from "./scheme.js";
import { end, may, session } from "./session.js";
import { CONNECTIONS } from "./stream.js";
import { Admin } from "./pages/admin.js";
import { Comparison } from "./pages/comparison.js";
import { Events } from "./pages/events.js";
import { Group } from "./pages/group.js";
import { Groups } from "./pages/groups.js";
import { Run } from "./pages/run.js";
import { Runs } from "./pages/runs.js";
import { SignIn } from "./pages/sign_in.js";
import { Task } from "./pages/task.js";
import { Tasks } from "./pages/tasks.js";
import { WatchedRuns } from "./pages/watched_runs.js";
import { WebhookDelivery } from "./pages/webhook_delivery.js";
import { WebhookEndpoint } from "./pages/webhook_endpoint.js";
import { Webhooks } from "./pages/webhooks.js";

const PAGES = [
  ["/runs", Runs],
  ["/runs/:id", Run],
  ["/runs/:id/compare/:other", Comparison],
  ["/groups", Groups],
  ["/groups/:id", Group],
  ["/tasks", Tasks],
  ["/tasks/:id", Task],
  ["/events", Events],
  ["/webhooks", Webhooks],
  ["/webhooks/:id", WebhookEndpoint],
  ["/deliveries/:id", WebhookDelivery],
  ["/admin", Admin],
];
/** What a ticket opens is streams. */
const WATCHED_PAGES = [["/runs", WatchedRuns], ["/runs/:id", Run], ["/events", Events]];
const SECTIONS = [["/runs", "Runs"], ["/groups", "Groups", "runs:read"], ["/tasks", "Tasks", "runs:read"], ["/events", "Events"], ["/webhooks", "Webhooks", "webhooks:manage"], ["/admin", "Admin", "admin"]];
/** There is less room for words at the head of the page. */
const SHORT_CONNECTIONS = { ...CONNECTIONS, waiting: "reconnecting…", refused: "not live" };

function Dashboard() {
  if (!session.value) return html`<${SignIn} />`;
  return html`<a class="skip" href="#content" onClick=${skip}>Skip to the content</a><${Head} /><${Content} />`;
}

function Head() {
  const { caller, isTicket } = session.value;
  return html`<header class="head"><a class="brand" href="#/runs"><img src="dashboard/icon.svg" alt="" width="24" height="24" />Gateway</a>
    <nav aria-label="Sections">${SECTIONS.filter(([, , scope]) => !scope || may(scope)).map(([path, name]) => html`<a key=${path} href="#${path}" aria-current=${isWithin(path) ? "page" : undefined}>${name}</a>`)}</nav>
    <span class="connection ${connection.value}" role="status">${SHORT_CONNECTIONS[connection.value] ?? ""}</span>
    <span class="who" title=${caller ? caller.scopes.join(", ") : ""}>${isTicket ? "with a ticket" : caller.organization}</span>
    <${Scheme} /><button type="button" onClick=${() => end()}>Sign out</button></header>`;
}

function Scheme() {
  const next = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length];
  return html`<button type="button" class="scheme" aria-label="Colours: ${choice.value}; change to ${next}" title="Colours: ${choice.value}" onClick=${() => { choice.value = next; }}>${{ system: "◐", light: "☀", dark: "☾" }[choice.value]}</button>`;
}

/** The page, and the focus on it when it is another one: a reader who listens hears where they are. */
function Content() {
  const main = useRef(null);
  const [failure, setFailure] = useState(null);
  const { path } = place.value;
  const found = find(session.value.isTicket ? WATCHED_PAGES : PAGES, path);
  useEffect(() => { setFailure(null); }, [path]);
  useEffect(() => { main.current?.focus({ preventScroll: true }); document.title = `${main.current?.querySelector("h1")?.textContent ?? "Dashboard"} · Task-status gateway`; }, [path]);
  useEffect(() => {
    const fail = (event) => setFailure(event.reason ?? event.error);
    addEventListener("error", fail);
    addEventListener("unhandledrejection", fail);
    return () => { removeEventListener("error", fail); removeEventListener("unhandledrejection", fail); };
  }, []);
  return html`<main id="content" ref=${main} tabindex="-1">
    ${failure ? html`<p class="refusal" role="alert">This page has failed: ${String(failure.message ?? failure)}. <a href=${location.href} onClick=${() => location.reload()}>Load it again</a></p>` : null}
    ${found ? html`<${found.page} ...${found.values} />` : html`<h1>Nothing here</h1><p>There is no page ${path}${session.value.isTicket ? " for a ticket" : ""}. <a href="#/runs">Runs</a></p>`}</main>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("content").focus();
}

function isWithin(path) {
  return place.value.path === path || place.value.path.startsWith(`${path}/`) || (path === "/webhooks" && place.value.path.startsWith("/deliveries/"));
}

startScheme();
startRouter();
startLive();
render(html`<${Dashboard} />`, document.getElementById("page"));
