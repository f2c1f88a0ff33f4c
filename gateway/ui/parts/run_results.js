// What came of the tests of a run: a list by status, and one of them in a dialog.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { formatNumber } from "../format.js";
import { Choice, Refusal } from "./basics.js";
import { Dialog } from "./dialog.js";
import { useList } from "./list.js";
import { Listed } from "./listed.js";
import { useReading } from "./reading.js";
import { ResultBody, ResultRow } from "./result.js";

const WRONG = "wrong";
const STATUSES = { [WRONG]: "fail,error", fail: "fail", error: "error", pass: "pass", unscored: "unscored" };

export function RunResults({ id, counts, isEnded }) {
  const [chosen, setChosen] = useState(WRONG);
  const list = useList({ path: `/v1/test-runs/${id}/results`, query: { status: STATUSES[chosen] }, keyOf: (result) => `${result.test_id}/${result.repeat}` });
  const ended = counts.passed + counts.failed + counts.errored + counts.unscored;
  const seen = useRef(0);
  useEffect(() => { if (!list.isLoading) seen.current = ended; }, [list.isLoading]);
  useEffect(() => { if (isEnded && seen.current !== ended) list.reload(); }, [isEnded]);
  const news = isEnded ? 0 : ended - seen.current;
  return html`<section><h2>Results</h2>
    <${Choice} label="Show" values=${Object.keys(STATUSES)} chosen=${chosen} onChoose=${setChosen} />
    ${news > 0 ? html`<button type="button" class="news" onClick=${list.reload}>${formatNumber(news)} tests have ended since: read again</button>` : null}
    <${Listed} list=${list} empty=${chosen === WRONG ? "Nothing went wrong so far." : "There is none of these."}>
      <div class="results">${list.items.map((result) => html`<${ResultRow} key=${`${result.test_id}/${result.repeat}`} result=${result} />`)}</div><//></section>`;
}

export function TestDialog({ id, execution, onClose }) {
  const { value, problem } = useReading((signal) => get(`/v1/test-runs/${id}/results`, { test_id: execution.testId }, { signal }), [id, execution.testId, execution.repeat]);
  const result = value?.items.find((one) => one.repeat === execution.repeat);
  return html`<${Dialog} title="Test ${execution.position + 1}: ${result?.status ?? execution.status}" onClose=${onClose}>
    <${Refusal} problem=${problem} />${result ? html`<${ResultBody} result=${result} />` : null}<//>`;
}
