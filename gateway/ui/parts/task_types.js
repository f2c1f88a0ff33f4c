// The tasks that may be submitted, read once while a page that names them is open.
import { get } from "../api.js";
import { useReading } from "./reading.js";

const MOST = 100;

export function useTaskTypes() {
  return useReading((signal) => get("/v1/task-types", { limit: MOST }, { signal }), []).value?.items ?? [];
}
