// Which page is shown: the part of the URL behind #, which the server does not see.
import { signal } from "./vendor/preact.js";

/** The path behind #, without its query, and the query. */
export const place = signal(readPlace());

function readPlace() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/runs", query: new URLSearchParams(query) };
}

export function startRouter() {
  addEventListener("hashchange", () => {
    const before = place.value.path;
    place.value = readPlace();
    if (place.value.path !== before) scrollTo(0, 0);
  });
}

/** Change the filters of this page; what is empty is left out. They are part of the URL, so they can be sent to others. */
export function filter(changes) {
  const query = new URLSearchParams(place.value.query);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of [value].flat()) if (one) query.append(name, one);
  }
  const text = query.toString();
  location.replace(`#${place.value.path}${text ? `?${text}` : ""}`);
}

export function go(path) {
  location.hash = path;
}

/** The page for a path, and the values at its `:names`; undefined if there is none. */
export function find(routes, path) {
  const given = path.split("/");
  for (const [pattern, page] of routes) {
    const parts = pattern.split("/");
    if (parts.length !== given.length) continue;
    if (parts.every((part, at) => part.startsWith(":") || part === given[at])) {
      const names = parts.flatMap((part, at) => (part.startsWith(":") ? [[part.slice(1), decodeURIComponent(given[at])]] : []));
      return { page, values: Object.fromEntries(names) };
    }
  }
  return undefined;
}
