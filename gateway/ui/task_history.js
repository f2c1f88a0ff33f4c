// What happened to a task, in steps that a reader can take in.

/**
 * The events of a task as {event, count, since}: reports of progress that follow one another are one step, the last of
 * them and how many there were; `since` is how many milliseconds after the step before it came, null for the first.
 */
export function steps(events) {
  const found = [];
  for (const event of events) {
    const last = found.at(-1);
    const isReport = event.type === "task.progress" && last?.event.type === event.type && last.event.data.status === event.data.status;
    if (isReport) found.pop();
    const before = found.at(-1)?.event;
    found.push({ event, count: isReport ? last.count + 1 : 1, since: before ? Date.parse(event.at) - Date.parse(before.at) : null });
  }
  return found;
}
