// What an operator looks after: workers, queues, what is executed, what was repaired, and who uses it all.
import { html } from "../vendor/preact.js";
import { ActiveTasks } from "../parts/active_tasks.js";
import { Organizations } from "../parts/organizations.js";
import { Queues } from "../parts/queues.js";
import { Sweeper } from "../parts/sweeper.js";
import { Workers } from "../parts/workers.js";

export function Admin() {
  return html`<header class="title"><h1>Admin</h1><p class="faint">Of all organizations, and read again every five seconds.</p></header>
    <${Workers} /><${Queues} /><${ActiveTasks} /><${Organizations} /><${Sweeper} />`;
}
