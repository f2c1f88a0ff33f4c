// The tests of a run as a field of cells that colour as they end; it stays smooth with tens of thousands.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { scheme } from "../scheme.js";
import { STATUSES } from "../run_progress.js";
import { coloursAt } from "./colours.js";

const COLOURS = ["--cell", "--good", "--bad", "--odd", "--calm", "--off"];
const LARGEST = 18;
const SMALLEST = 3;
const MOST_HEIGHT = 300;
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/** `version` changes when `progress` has; `onOpen` is given the execution that was chosen. */
export function Grid({ progress, version, onOpen }) {
  const canvas = useRef(null);
  const field = useRef(null);
  const [pointed, setPointed] = useState(null);
  const theme = scheme.value;

  useEffect(() => {
    field.current = new Field(canvas.current, progress);
    const watch = new ResizeObserver(() => field.current.resize());
    watch.observe(canvas.current.parentElement);
    return () => watch.disconnect();
  }, [progress, theme]);
  useEffect(() => { field.current.draw(); }, [version]);

  const point = (index) => {
    const inside = index !== null && index >= 0 && index < progress.cells.length;
    field.current.point(inside ? index : null);
    setPointed(inside ? index : null);
  };
  const press = (event) => {
    const step = STEPS[event.key];
    if (step) {
      event.preventDefault();
      point(pointed === null ? 0 : Math.max(0, Math.min(progress.cells.length - 1, pointed + step[0] + step[1] * field.current.columns)));
    } else if (event.key === "Enter" && pointed !== null) open(pointed);
  };
  const open = (index) => { if (index !== null && progress.testIds[index]) onOpen(progress.at(index)); };
  const under = (event) => field.current.at(event.offsetX, event.offsetY);

  return html`<div class="grid">
    <canvas ref=${canvas} tabindex="0" role="application" aria-label="Tests of the run, one cell each; arrow keys move, Enter opens"
      onMouseMove=${(event) => point(under(event))} onMouseLeave=${() => point(null)} onClick=${(event) => open(under(event))} onKeyDown=${press}></canvas>
    <p class="pointed" aria-live="polite">${pointed === null ? html`<${Legend} />` : words(progress.at(pointed), progress)}</p>
  </div>`;
}

function Legend() {
  return html`<span class="legend">${STATUSES.map((status) => html`<span key=${status} class="key ${status}">${status}</span>`)}</span>`;
}

function words({ position, repeat, status }, progress) {
  return `Test ${position + 1}${progress.repeats > 1 ? `, execution ${repeat}` : ""}: ${status}`;
}

/** Cells on a canvas; what has not changed is not drawn again. */
class Field {
  #size = 0;
  #pointed = null;

  constructor(canvas, progress) {
    this.canvas = canvas;
    this.progress = progress;
    this.columns = 1;
    this.context = canvas.getContext("2d");
    [this.mark, ...this.colours] = coloursAt(canvas, ["--text", ...COLOURS]);
    this.resize();
  }

  resize() {
    this.progress.changes = null;
    this.draw();
  }

  draw() {
    const changes = this.progress.takeChanges();
    if (changes === null) this.#drawAll();
    else for (const index of changes) this.#drawCell(index);
  }

  point(index) {
    const before = this.#pointed;
    this.#pointed = index;
    for (const one of [before, index]) if (one !== null) this.#drawCell(one);
  }

  at(x, y) {
    const column = Math.floor(x / this.#size);
    const index = Math.floor(y / this.#size) * this.columns + column;
    return column < this.columns && index < this.progress.cells.length ? index : null;
  }

  #drawAll() {
    const width = this.canvas.parentElement.clientWidth;
    const count = this.progress.cells.length;
    this.#size = cellSize(width, count);
    this.columns = Math.max(1, Math.floor(width / this.#size));
    const height = Math.max(1, Math.ceil(count / this.columns)) * this.#size;
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    this.canvas.style.height = `${height}px`;
    this.canvas.dataset.cell = this.#size;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (let index = 0; index < count; index++) this.#drawCell(index);
  }

  #drawCell(index) {
    const size = this.#size;
    const gap = size > 5 ? 1.5 : 0.5;
    const x = (index % this.columns) * size;
    const y = Math.floor(index / this.columns) * size;
    this.context.clearRect(x, y, size, size);
    this.context.fillStyle = index === this.#pointed ? this.mark : this.colours[this.progress.cells[index]];
    this.context.fillRect(x, y, size - gap, size - gap);
  }
}

/** The largest size at which all cells fit into the height; very many scroll with the page instead. */
function cellSize(width, count) {
  for (let size = LARGEST; size > SMALLEST; size--) {
    if (Math.ceil(count / Math.max(1, Math.floor(width / size))) * size <= MOST_HEIGHT) return size;
  }
  return SMALLEST;
}
