// A plot over time, drawn by uPlot in the page's own colours.
import { html, useEffect, useRef } from "../vendor/preact.js";
import { scheme } from "../scheme.js";
import { coloursAt } from "./colours.js";
import uPlot from "../vendor/uplot.js";

const HEIGHT = 170;

/**
 * `columns` are times in seconds and then the values of each of `lines`, {label, colour (a property of the style sheet), bars}.
 * `format` writes a value, `said` tells in words what the plot shows.
 */
export function Plot({ title, columns, lines, format, said }) {
  const box = useRef(null);
  const plot = useRef(null);
  const theme = scheme.value;
  useEffect(() => {
    plot.current = new uPlot(options(box.current, lines, format), columns, box.current);
    const watch = new ResizeObserver(([{ contentRect }]) => plot.current.setSize({ width: contentRect.width, height: HEIGHT }));
    watch.observe(box.current);
    return () => { watch.disconnect(); plot.current.destroy(); };
  }, [theme]);
  useEffect(() => { plot.current.setData(columns); }, [columns]);
  return html`<figure class="plot"><figcaption>${title}</figcaption><div ref=${box} role="img" aria-label=${said}></div></figure>`;
}

function options(box, lines, format) {
  const [faint, line, ...drawn] = coloursAt(box, ["--faint", "--line", ...lines.map(({ colour }) => colour)]);
  const axis = { stroke: faint, font: `11px ${getComputedStyle(box).fontFamily}`, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    width: box.clientWidth || 300,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    legend: { live: true },
    scales: { y: { range: (_, __, most) => [0, most ? most * 1.1 : 1] } },
    axes: [{ ...axis, space: 80, size: 32, values: (_, times) => times.map(clock) }, { ...axis, space: 34, size: 62, values: (_, values) => values.map(format) }],
    series: [{ label: "time", value: (_, at) => (at === null ? "–" : clock(at)) }, ...lines.map((one, at) => series(one, drawn[at], format))],
  };
}

function clock(seconds) {
  return new Date(1000 * seconds).toLocaleTimeString("en-GB");
}

function series({ label, bars }, colour, format) {
  return {
    label,
    stroke: colour,
    width: bars ? 0 : 1.75,
    fill: bars ? colour : undefined,
    paths: bars ? uPlot.paths.bars({ size: [0.9, 40] }) : uPlot.paths.linear(),
    points: { show: false },
    spanGaps: true,
    value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
  };
}
