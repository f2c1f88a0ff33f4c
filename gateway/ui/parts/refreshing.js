// What changes without an event: read again and again while somebody looks at the page.
import { useEffect, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { useReading } from "./reading.js";

const REFRESH_MILLISECONDS = 5000;
const PAGE = 50;

/** As `useReading`, and again so long after each answer; `isDone(value)` says that it will not change any more. */
export function useRefreshing(read, dependencies, { milliseconds = REFRESH_MILLISECONDS, isDone = () => false } = {}) {
  const reading = useReading(read, dependencies);
  const { value, problem } = reading;
  useEffect(() => {
    const isOver = value === undefined ? !problem : isDone(value);
    return isOver ? undefined : later(reading.reload, milliseconds);
  }, [value, problem]);
  return reading;
}

/** The first pages of a list, as many as were asked for. */
export function useRefreshingList(path, query = {}) {
  const [count, setCount] = useState(1);
  const { value, problem, reload } = useRefreshing((signal) => readPages(path, query, count, signal), [path, JSON.stringify(query)]);
  const more = value?.hasMore ? () => { setCount(count + 1); reload(); } : null;
  return { items: value?.items ?? [], isLoading: value === undefined && !problem, problem, reload, more };
}

async function readPages(path, query, count, signal) {
  const items = [];
  let cursor;
  for (let read = 0; read < count && cursor !== null; read++) {
    const page = await get(path, { limit: PAGE, ...query, cursor }, { signal });
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return { items, hasMore: cursor !== null };
}

/** A page that nobody sees waits until somebody does. */
function later(act, milliseconds) {
  const abort = new AbortController();
  const timer = setTimeout(() => {
    if (document.hidden) document.addEventListener("visibilitychange", act, { once: true, signal: abort.signal });
    else act();
  }, milliseconds);
  return () => { clearTimeout(timer); abort.abort(); };
}
