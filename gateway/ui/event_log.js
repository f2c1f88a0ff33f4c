// The newest events of a stream, and how many there were: all that a page may hold of a stream without end.

export const MOST = 500;

export class EventLog {
  /** What is shown, the newest first: each {key} and an `event`, or `gap`: events are missing here. */
  rows = [];
  shown = 0;
  /** What has arrived since, how many those are, and of them the newest. */
  waiting = 0;
  #newest = [];
  #keys = 0;

  add(events) {
    this.#take(events.map((event) => ({ key: ++this.#keys, event })));
  }

  addGap() {
    this.#take([{ key: ++this.#keys, gap: true }]);
  }

  /** Show what waits; what is too much for the page falls out at its end. */
  show() {
    this.rows = [...this.#newest, ...this.rows].slice(0, MOST);
    this.shown += this.waiting;
    this.waiting = 0;
    this.#newest = [];
  }

  #take(rows) {
    this.waiting += rows.length;
    this.#newest = [...rows.reverse(), ...this.#newest].slice(0, MOST);
  }
}
