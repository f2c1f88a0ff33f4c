// Figures of a run that has ended, by metric, status, error and tag.
import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { formatMilliseconds, formatNumber, formatShare } from "../format.js";
import { Refusal } from "./basics.js";
import { useReading } from "./reading.js";

export function RunStatistics({ id, isEnded }) {
  const { value, problem, reload } = useReading((signal) => (isEnded ? get(`/v1/test-runs/${id}/statistics`, {}, { signal }) : Promise.resolve(null)), [id, isEnded]);
  if (!value) return html`<${Refusal} problem=${problem} retry=${reload} />`;
  return html`<section><h2>Statistics</h2><div class="tables">
    <${Figures} title="Latency" columns=${["Latency", "Time"]} rows=${latency(value.latency_ms)} />
    <${Figures} title="Metrics" columns=${["Metric", "Passed", "Failed", "Mean score"]} rows=${value.metrics.map((one) => [one.name, formatNumber(one.passed), formatNumber(one.failed), formatNumber(one.mean_score)])} />
    <${Figures} title="HTTP statuses" columns=${["Status", "Tests"]} rows=${value.http_statuses.map((one) => [one.http_status, formatNumber(one.tests)])} />
    <${Figures} title="Errors" columns=${["Code", "Tests"]} rows=${value.error_codes.map((one) => [one.code, formatNumber(one.tests)])} />
    <${Figures} title="Tags" columns=${["Tag", "Tests", "Passed", "Pass rate"]} rows=${value.tags.map((one) => [one.tag, formatNumber(one.tests), formatNumber(one.passed), interval(one)])} />
  </div></section>`;
}

function Figures({ title, columns, rows }) {
  if (!rows.length) return null;
  return html`<table><caption>${title}</caption><thead><tr>${columns.map((name, at) => html`<th key=${at} class=${at ? "number" : ""}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row, at) => html`<tr key=${at}>${row.map((value, column) => html`<td key=${column} class=${column ? "number" : ""}>${value}</td>`)}</tr>`)}</tbody></table>`;
}

function latency(figures) {
  return figures ? [["mean", figures.mean], ["median", figures.p50], ["90 %", figures.p90], ["95 %", figures.p95], ["99 %", figures.p99], ["longest", figures.max]].map(([name, value]) => [name, formatMilliseconds(value)]) : [];
}

function interval({ pass_rate: rate, lower, upper }) {
  return lower === null ? formatShare(rate) : `${formatShare(rate)} (${formatShare(lower)} to ${formatShare(upper)})`;
}
