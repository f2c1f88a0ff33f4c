// Who is signed in. The credential lives as long as the tab, and goes nowhere but into the header Authorization.
import { signal } from "./vendor/preact.js";

const STORED = "session";
const TICKET = /^tst_/;

/** The credential and who it is of: {credential, isTicket, caller}; null before somebody has signed in. */
export const session = signal(JSON.parse(sessionStorage.getItem(STORED)));

/** Why the reader has to sign in again; empty if nobody was signed in. */
export const farewell = signal("");

/** Remember who a credential is of; a ticket is of nobody that it tells. */
export function begin(credential, caller) {
  const begun = { credential, caller, isTicket: isTicket(credential) };
  sessionStorage.setItem(STORED, JSON.stringify(begun));
  farewell.value = "";
  session.value = begun;
}

export function end(reason = "") {
  sessionStorage.removeItem(STORED);
  farewell.value = reason;
  session.value = null;
}

/** Whether the reader may do what needs this scope. */
export function may(scope) {
  return session.value?.caller?.scopes.includes(scope) ?? false;
}

export function isTicket(credential) {
  return TICKET.test(credential);
}
