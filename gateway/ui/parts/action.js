// What a button does: one thing at a time, and why it was refused.
import { useState } from "../vendor/preact.js";

export function useAction() {
  const [state, setState] = useState({ isBusy: false, problem: null });
  const act = async (work) => {
    setState({ isBusy: true, problem: null });
    const problem = await work().then(() => null, (refusal) => refusal);
    setState({ isBusy: false, problem });
  };
  return { ...state, act };
}
