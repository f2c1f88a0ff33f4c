// A list of the API's, page by page, whose rows follow the events of the organization.
import { useEffect, useRef, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { listen } from "../live.js";
import { renewed } from "../rows.js";

const PAGE = 50;
/** However many new rows there are, the first page is not read more often than this. */
const RELOAD_MILLISECONDS = 1500;

/**
 * Rows of `path`, and `more` to read the next page.
 *
 * `keyOf` names a row as events name their subject. `patch(row, event)` is the row after an event, `concerns(event)`
 * whether one of an unknown subject may have made a new row.
 */
export function useList({ path, query = {}, keyOf, patch, concerns }) {
  const [list, setList] = useState({ items: [], cursor: null, isLoading: true, problem: null });
  const reloading = useRef(null);
  const state = useRef(list);
  const change = (changes) => {
    state.current = { ...state.current, ...changes };
    setList(state.current);
  };
  const key = JSON.stringify([path, query]);

  const read = async (cursor, signal) => {
    change({ isLoading: true });
    try {
      const page = await get(path, { limit: PAGE, ...query, cursor }, { signal });
      if (signal?.aborted) return;
      const { items, cursor: next } = cursor ? { items: [...state.current.items, ...page.items], cursor: page.next_cursor } : renewed(page, state.current, keyOf);
      change({ items, cursor: next, isLoading: false, problem: null });
    } catch (problem) {
      if (!signal?.aborted) change({ isLoading: false, problem });
    }
  };

  useEffect(() => {
    const abort = new AbortController();
    change({ items: [], cursor: null });
    const reloadSoon = () => {
      reloading.current ??= setTimeout(() => { reloading.current = null; read(null, abort.signal); }, RELOAD_MILLISECONDS);
    };
    const stop = patch && listen((events) => {
      const { items, isNew } = patched(state.current.items, events, { keyOf, patch, concerns });
      if (items !== state.current.items) change({ items });
      if (isNew) reloadSoon();
    });
    read(null, abort.signal);
    return () => { abort.abort(); stop?.(); clearTimeout(reloading.current); reloading.current = null; };
  }, [key]);

  return { ...list, more: list.cursor ? () => read(list.cursor) : null, reload: () => read(null) };
}

function patched(rows, events, { keyOf, patch, concerns }) {
  const places = new Map(rows.map((row, at) => [keyOf(row), at]));
  let items = rows;
  let isNew = false;
  for (const event of events) {
    const at = places.get(event.subject);
    if (at === undefined) isNew ||= event.type === "snapshot" || concerns(event);
    else if (event.seq > items[at].seq) {
      if (items === rows) items = [...rows];
      items[at] = patch(items[at], event);
    }
  }
  return { items, isNew };
}
