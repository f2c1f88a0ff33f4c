// What a page reads from the API: its value, or why there is none.
import { useEffect, useState } from "../vendor/preact.js";

/** Read anew whenever one of `dependencies` changes; `reload` reads again and keeps the value until then. */
export function useReading(read, dependencies) {
  const [reading, setReading] = useState({ value: undefined, problem: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => setReading({ value: undefined, problem: null }), dependencies);
  useEffect(() => {
    const abort = new AbortController();
    read(abort.signal).then(
      (value) => abort.signal.aborted || setReading({ value, problem: null }),
      (problem) => abort.signal.aborted || setReading(({ value }) => ({ value, problem })),
    );
    return () => abort.abort();
  }, [...dependencies, turn]);
  const change = (value) => setReading({ value, problem: null });
  return { ...reading, change, reload: () => setTurn((number) => number + 1) };
}
