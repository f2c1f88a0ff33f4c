// One test of a run: what was asked, answered and expected, and what the metrics said. All of it is untrusted text.
import { html } from "../vendor/preact.js";
import { formatMilliseconds, formatNumber, formatValue, shorten } from "../format.js";
import { Status } from "./basics.js";
import { Verbatim } from "./verbatim.js";

/** A row that opens. */
export function ResultRow({ result }) {
  return html`<details class="result">
    <summary><${Status} of=${result.status} /><span class="place">#${result.position + 1}${result.repeat > 1 ? `/${result.repeat}` : ""}</span>
      <span class="asked">${shorten(asked(result))}</span><span class="why">${shorten(why(result))}</span></summary>
    <${ResultBody} result=${result} />
  </details>`;
}

export function ResultBody({ result }) {
  const answers = result.turns ? result.output?.turns ?? [] : [];
  return html`<div class="result-body">
    ${result.turns ? result.turns.map((turn, at) => html`<${Text} key=${at} name="Turn ${at + 1}" value=${turn.input ?? turn} /><${Text} name="Answer ${at + 1}" value=${answers[at]?.output} />`)
      : html`<${Text} name="Input" value=${result.input} /><${Text} name="Output" value=${output(result)} missing="nothing was answered" />`}
    <${Text} name="Expected" value=${result.expected} />
    ${result.error ? html`<${Text} name="Error: ${result.error.code}" value=${result.error.message} />` : null}
    <${Scores} verdict=${result.scores} />
    <dl class="facts">
      <div><dt>Latency</dt><dd>${formatMilliseconds(result.latency_ms)}</dd></div>
      <div><dt>HTTP status</dt><dd>${result.http_status ?? "–"}</dd></div>
      <div><dt>Attempts</dt><dd>${result.attempts}</dd></div>
      <div><dt>Test</dt><dd><code>${result.test_id}</code></dd></div>
    </dl>
  </div>`;
}

function Text({ name, value, missing }) {
  const text = formatValue(value);
  if (!text && !missing) return null;
  return html`<section class="text"><h3>${name}</h3>${text ? html`<${Verbatim} of=${text} />` : html`<p class="faint">${missing}</p>`}</section>`;
}

function Scores({ verdict }) {
  if (!verdict?.scores?.length) return null;
  return html`<section class="text"><h3>Metrics</h3><table><thead><tr><th>Metric</th><th>Verdict</th><th class="number">Score</th><th>Reason</th></tr></thead>
    <tbody>${verdict.scores.map((score, at) => html`<tr key=${at}><td>${score.name}</td>
      <td><${Status} of=${score.passed === null ? "unscored" : score.passed ? "pass" : "fail"} /></td>
      <td class="number">${formatNumber(score.score)}</td><td>${score.reason ?? ""}</td></tr>`)}</tbody></table></section>`;
}

function asked(result) {
  return formatValue(result.turns ? result.turns[0]?.input ?? result.turns[0] : result.input);
}

function output(result) {
  const answered = result.output;
  return answered && typeof answered === "object" && "output" in answered ? answered.output : answered;
}

function why(result) {
  if (result.error) return `${result.error.code}: ${result.error.message}`;
  return result.scores?.scores?.find((score) => score.passed === false)?.reason ?? result.scores?.reason ?? "";
}
