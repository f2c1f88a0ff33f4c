// Submits a task of one of the types there are, with its arguments as JSON.
import { html, useState } from "../vendor/preact.js";
import { post, Problem } from "../api.js";
import { formatValue } from "../format.js";
import { go } from "../router.js";
import { useAction } from "./action.js";
import { Empty, Refusal } from "./basics.js";
import { Dialog } from "./dialog.js";
import { Verbatim } from "./verbatim.js";

const BLANKS = { string: "", integer: 0, number: 0, boolean: false, array: [], object: {} };

export function TaskForm({ types, onClose }) {
  const [chosen, setChosen] = useState(null);
  const type = types.find((one) => one.name === chosen) ?? types[0];
  return html`<${Dialog} title="Submit a task" onClose=${onClose}>
    ${type ? html`<label class="field">Task<select value=${type.name} onChange=${(event) => setChosen(event.target.value)}>${types.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></label>
      <${Arguments} key=${type.name} type=${type} />` : html`<${Empty}>No task may be submitted.<//>`}
  <//>`;
}

function Arguments({ type }) {
  const { isBusy, problem, act } = useAction();
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    act(async () => {
      const { task_id: id } = await post("/v1/tasks", { name: type.name, args: parsed(fields, "args"), kwargs: parsed(fields, "kwargs") });
      go(`/tasks/${id}`);
    });
  };
  return html`<form class="fields" onSubmit=${submit}>
    <p class="faint">${type.description ?? "It says nothing of itself."} It goes to the queue <code>${type.queue}</code>.</p>
    <label class="field">Named arguments<textarea name="kwargs" rows="4" spellcheck="false">${formatValue(blank(type))}</textarea></label>
    <label class="field">Positional arguments<textarea name="args" rows="2" spellcheck="false">[]</textarea></label>
    <details><summary>What it takes, as a JSON Schema</summary><${Verbatim} of=${type.arguments} /></details>
    <${Refusal} problem=${problem} />
    <button class="primary" disabled=${isBusy}>Submit</button>
  </form>`;
}

/** The arguments that have no default, each with nothing in it yet. */
function blank({ arguments: schema }) {
  const named = Object.entries(schema.properties?.kwargs?.properties ?? {});
  return Object.fromEntries(named.filter(([, one]) => !("default" in one)).map(([name, one]) => [name, BLANKS[one.type] ?? null]));
}

function parsed(fields, name) {
  try {
    return JSON.parse(fields.get(name));
  } catch (error) {
    throw new Problem({ title: `These ${name} are no JSON`, detail: error.message });
  }
}
