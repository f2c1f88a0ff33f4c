// What the dashboard uses of Preact, its hooks and signals, and htm, as one module.
import { h } from "preact";
import htm from "htm";

export { Fragment, render } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal } from "@preact/signals";
export const html = htm.bind(h);
