// Who is there: an API key, an identity provider's token, or a ticket that only watches.
import { html } from "../vendor/preact.js";
import { get, Problem, address, problemOf } from "../api.js";
import { useAction } from "../parts/action.js";
import { Refusal } from "../parts/basics.js";
import { begin, farewell, isTicket } from "../session.js";

/** Take a credential if the gateway does; throws its problem if not. */
async function signIn(credential) {
  if (isTicket(credential)) await tryTicket(credential);
  begin(credential, isTicket(credential) ? null : await get("/v1/caller", {}, { credential }));
}

/** A ticket has nobody to ask about it: whether it opens the stream tells whether it is good. */
async function tryTicket(credential) {
  const abort = new AbortController();
  try {
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${credential}` };
    const response = await fetch(address("/v1/events"), { headers, signal: abort.signal });
    if (!response.ok) throw await problemOf(response);
  } catch (error) {
    throw error instanceof Problem ? error : new Problem({ detail: "The gateway cannot be reached." });
  } finally {
    abort.abort();
  }
}

export function SignIn() {
  const { isBusy, problem, act } = useAction();
  const submit = (event) => {
    event.preventDefault();
    const credential = new FormData(event.target).get("credential").trim();
    if (credential) act(() => signIn(credential));
  };
  return html`<main class="sign-in" id="content">
    <form onSubmit=${submit}>
      <img src="dashboard/icon.svg" alt="" width="48" height="48" />
      <h1>Task-status gateway</h1>
      ${farewell.value ? html`<p role="status">You have been signed out: ${farewell.value}</p>` : null}
      <label for="credential">API key or ticket</label>
      <input id="credential" name="credential" type="password" autocomplete="off" spellcheck="false" required autofocus placeholder="tsg_… or tst_…" />
      <button class="primary" disabled=${isBusy}>${isBusy ? "Asking…" : "Sign in"}</button>
      <${Refusal} problem=${problem} />
      <p class="faint">A key comes from <code>gateway keys create</code>; one with the scope <code>runs:read</code> is enough to look. It is kept in this tab
        until you sign out or close it. A ticket (<code>POST /v1/stream-tickets</code>) only watches.</p>
    </form>
  </main>`;
}
