// Numbers, durations and times as people read them.

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const today = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function formatNumber(value) {
  return value === null || value === undefined ? "–" : number.format(value);
}

/** So many of something. */
export function formatCount(count, one, many = `${one}s`) {
  return `${formatNumber(count)} ${count === 1 ? one : many}`;
}

export function formatShare(value) {
  return value === null || value === undefined ? "–" : `${number.format(100 * value)} %`;
}

export function formatMilliseconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 1000 ? `${Math.round(value)} ms` : formatSeconds(value / 1000);
}

export function formatSeconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 60) return `${number.format(value)} s`;
  const seconds = Math.round(value);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts[0] ? `${parts[0]} h ${parts[1]} min` : `${parts[1]} min ${parts[2]} s`;
}

/** In the reader's time zone; of today without the day. */
export function formatTime(text, now = new Date()) {
  if (!text) return "–";
  const at = new Date(text);
  return (at.toDateString() === now.toDateString() ? today : moment).format(at);
}

/** What is short enough for a line of a list. */
export function shorten(text, most = 140) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Texts as they are, everything else as JSON. */
export function formatValue(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** The first characters of a UUID are its time; the last ones tell two apart. */
export function shortId(id) {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}
