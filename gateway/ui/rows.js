// Rows of a list that was read page by page, when its first page is read again.

/**
 * The first page as it is now, and behind it what is known of later ones, with the cursor to go on from there. What is
 * new pushes rows out of the page: they are known, too. Where more is new than a page holds, later pages are forgotten.
 */
export function renewed({ items: first, next_cursor: next }, { items: known, cursor }, keyOf) {
  const places = new Map(known.map((row, at) => [keyOf(row), at]));
  const last = first.length ? places.get(keyOf(first.at(-1))) : undefined;
  if (last === undefined || last + 1 >= known.length) return { items: first, cursor: next };
  const keys = new Set(first.map(keyOf));
  return { items: [...first, ...known.slice(last + 1).filter((row) => !keys.has(keyOf(row)))], cursor };
}
