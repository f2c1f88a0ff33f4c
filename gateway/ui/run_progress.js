// How far a run is, kept up by the events of its stream.
import { hasEnded } from "./run_status.js";

/** Statuses of a test by their number in `cells`; 0 is a test that has not ended. */
export const STATUSES = ["pending", "pass", "fail", "error", "unscored", "cancelled"];
const NUMBERS = Object.fromEntries(STATUSES.map((status, number) => [status, number]));
const WIDTHS = [0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400];
const MOST_BINS = 90;

/** Every event is applied once, however often it arrives: `seq` counts those of a run. */
export class RunProgress {
  constructor({ total = null, repeats = 1 } = {}) {
    this.seq = 0;
    /** The number of the event that status and counts are of; older ones tell of results only. */
    this.standing = 0;
    this.status = "queued";
    this.reason = null;
    this.counts = { total, pending: total ?? 0, passed: 0, failed: 0, errored: 0, cancelled: 0, unscored: 0 };
    this.startedAt = null;
    this.endedAt = null;
    this.repeats = repeats;
    this.tests = 0;
    /** The status of each execution, those of the first repeat first. */
    this.cells = new Uint8Array(0);
    this.testIds = [];
    /** When executions ended, in milliseconds, and how long their last request took. */
    this.finished = [];
    this.latencies = [];
    /** Places in `cells` that have changed since `takeChanges`; null: all of them. */
    this.changes = null;
    this.#size(total);
  }

  get isEnded() {
    return hasEnded(this.status);
  }

  /** Take over how the run is, as it was read; its results are still to be told. */
  stand({ seq, status, reason, started_at: startedAt, finished_at: finishedAt, ...counts }) {
    this.standing = seq;
    this.status = status;
    this.reason = reason ?? null;
    this.startedAt = startedAt ? Date.parse(startedAt) : this.startedAt;
    this.endedAt = finishedAt ? Date.parse(finishedAt) : this.endedAt;
    this.#count(counts);
  }

  apply(event) {
    if (event.type === "snapshot") {
      this.seq = event.seq;
      return this.stand({ ...event.data, seq: event.seq });
    }
    if (event.seq <= this.seq) return undefined;
    this.seq = event.seq;
    return event.type === "test_result.finished" ? this.#finish(event) : this.#move(event);
  }

  /** Note a result that was read from the list, where its event is gone. */
  note(result) {
    this.#mark(result);
    if (result.finished_at) this.#measure(result.finished_at, result.latency_ms);
  }

  takeChanges() {
    const changes = this.changes;
    this.changes = [];
    return changes;
  }

  /** Which execution is at a place of `cells`. */
  at(index) {
    return { index, position: index % this.tests, repeat: Math.floor(index / this.tests) + 1, status: STATUSES[this.cells[index]], testId: this.testIds[index] };
  }

  /**
   * Executions a second, and the median and 95th percentile of latencies, by time: columns as a plot wants them.
   * `median` is that of all latencies. The bins are as narrow as 90 of them allow, from half a second on; times are in seconds since 1970.
   */
  series() {
    if (!this.finished.length) return { width: 1, times: [], rates: [], p50: [], p95: [], median: null };
    const begin = this.startedAt ?? Math.min(...this.finished.slice(0, 100));
    const last = this.finished.reduce((most, at) => Math.max(most, at), begin);
    const width = WIDTHS.find((seconds) => (last - begin) / 1000 / seconds <= MOST_BINS) ?? WIDTHS.at(-1);
    const bins = Array.from({ length: Math.floor((last - begin) / 1000 / width) + 1 }, () => []);
    this.finished.forEach((at, number) => { bins[Math.max(0, Math.floor((at - begin) / 1000 / width))].push(this.latencies[number]); });
    const sorted = bins.map(ascending);
    return {
      width,
      times: bins.map((_, number) => begin / 1000 + (number + 0.5) * width),
      rates: bins.map((bin, number) => (number === bins.length - 1 && !this.isEnded ? null : bin.length / width)),
      p50: sorted.map((bin) => quantile(bin, 0.5)),
      p95: sorted.map((bin) => quantile(bin, 0.95)),
      median: quantile(ascending(this.latencies), 0.5),
    };
  }

  #move({ type, seq, at, data }) {
    if (type === "test_run.started") this.startedAt = Date.parse(at);
    if (seq <= this.standing) return;
    this.status = data.status;
    this.reason = data.reason ?? null;
    this.#count(data.counts);
    if (this.isEnded) this.endedAt = Date.parse(at);
  }

  #finish({ at, data }) {
    this.#mark(data);
    this.#measure(at, data.latency_ms);
  }

  #measure(at, latency) {
    this.finished.push(Date.parse(at));
    this.latencies.push(latency ?? null);
  }

  #mark({ position, repeat, status, test_id: testId }) {
    if (repeat > this.repeats || position >= this.tests) this.#grow(position, repeat);
    const index = (repeat - 1) * this.tests + position;
    this.cells[index] = NUMBERS[status] ?? 0;
    this.testIds[index] = testId;
    this.changes?.push(index);
  }

  #count(counts) {
    for (const name of Object.keys(this.counts)) if (counts[name] !== undefined) this.counts[name] = counts[name];
    if (this.counts.total !== null && this.cells.length < this.counts.total) this.#size(this.counts.total);
  }

  #size(total) {
    if (total) this.#arrange(Math.max(this.tests, Math.ceil(total / this.repeats)), this.repeats);
  }

  /** More repeats than were known of, or a place behind the last one. */
  #grow(position, repeat) {
    const repeats = Math.max(this.repeats, repeat);
    const tests = repeats > this.repeats && this.counts.total ? Math.ceil(this.counts.total / repeats) : this.tests;
    this.#arrange(Math.max(tests, position + 1, ...this.#places()), repeats);
  }

  #places() {
    let most = 0;
    this.cells.forEach((status, index) => { if (status) most = Math.max(most, (index % this.tests) + 1); });
    return [most];
  }

  #arrange(tests, repeats) {
    const cells = new Uint8Array(tests * repeats);
    const testIds = [];
    this.cells.forEach((status, index) => {
      if (!status) return;
      const place = Math.floor(index / this.tests) * tests + (index % this.tests);
      cells[place] = status;
      testIds[place] = this.testIds[index];
    });
    Object.assign(this, { cells, testIds, tests, repeats, changes: null });
  }
}

/** Typed arrays are sorted several times faster, by number and not by text. */
function ascending(latencies) {
  return Float64Array.from(latencies.filter((latency) => latency !== null)).sort();
}

function quantile(sorted, share) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null;
}
