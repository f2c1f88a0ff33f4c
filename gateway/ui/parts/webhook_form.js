// Makes an endpoint and shows the secret that signs what it gets.
import { html, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { useAction } from "./action.js";
import { Refusal } from "./basics.js";
import { Dialog } from "./dialog.js";
import { Secret } from "./secret.js";

const FAMILIES = ["*", "test_run.*", "run_group.*", "task.*", "webhook_endpoint.*"];
const SINGLE = [
  ...["completed", "partial", "failed", "cancelled"].flatMap((end) => [`test_run.${end}`, `run_group.${end}`]),
  ...["task.succeeded", "task.failed", "task.revoked", "webhook_endpoint.disabled"],
].sort();
const USUAL = new Set(["test_run.*", "run_group.*"]);

export function WebhookForm({ onClose }) {
  const [made, setMade] = useState(null);
  return html`<${Dialog} title=${made ? "The endpoint is there" : "Add an endpoint"} onClose=${onClose}>
    ${made ? html`<${Secret} of=${made.secret}>This secret signs what it gets. Give it to the receiver.<//><p><a href="#/webhooks/${made.id}">Go to the endpoint</a></p>` : html`<${Fields} onMade=${setMade} />`}
  <//>`;
}

function Fields({ onMade }) {
  const { isBusy, problem, act } = useAction();
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const body = { url: fields.get("url").trim(), event_types: fields.getAll("types"), description: fields.get("description").trim() || null };
    act(async () => onMade(await post("/v1/webhook-endpoints", body)));
  };
  return html`<form class="fields" onSubmit=${submit}>
    <label class="field">URL<input name="url" type="url" required placeholder="https://…" autocomplete="off" /></label>
    <label class="field">Description<input name="description" maxlength="200" autocomplete="off" /></label>
    <fieldset class="checks"><legend>It is told of</legend>${FAMILIES.map((type) => html`<${Check} key=${type} type=${type} />`)}
      <details><summary>single events</summary>${SINGLE.map((type) => html`<${Check} key=${type} type=${type} />`)}</details></fieldset>
    <${Refusal} problem=${problem} />
    <button class="primary" disabled=${isBusy}>Add</button>
  </form>`;
}

function Check({ type }) {
  return html`<label><input type="checkbox" name="types" value=${type} defaultChecked=${USUAL.has(type)} />${type === "*" ? "everything" : html`<code>${type}</code>`}</label>`;
}
