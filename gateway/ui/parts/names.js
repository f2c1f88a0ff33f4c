// Names of what runs refer to by id: read once, and remembered while the page is open.
import { useEffect, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { session } from "../session.js";
import { shortId } from "../format.js";

const LIST = 100;
const known = new Map();
const lists = new Map();

/** What there is at `{path}/{id}`; undefined until it is read, null if there is no such thing. */
export function useDefinition(path, id) {
  const [definition, setDefinition] = useState(undefined);
  useEffect(() => {
    let isWanted = true;
    setDefinition(undefined);
    if (id && !session.value?.isTicket) find(path, id).then((found) => isWanted && setDefinition(found));
    return () => { isWanted = false; };
  }, [path, id]);
  return definition;
}

/** Its name, or the end of its id. */
export function useName(path, id) {
  return useDefinition(path, id)?.name ?? (id ? shortId(id) : "–");
}

/** One request finds what most rows of a list are named; only the others are asked for one by one. */
async function find(path, id) {
  if (!lists.has(path)) lists.set(path, list(path));
  await lists.get(path);
  const one = `${path}/${id}`;
  if (!known.has(one)) known.set(one, get(one).catch(() => null));
  return known.get(one);
}

async function list(path) {
  try {
    const { items } = await get(path, { limit: LIST });
    for (const one of items) known.set(`${path}/${one.id}`, one);
  } catch {
    lists.delete(path);
  }
}
