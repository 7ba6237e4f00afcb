/** A plot of one group as SVG: a row a phase, a dot a subject on a logarithmic axis, a line for the quartiles. */
import { type PhaseResult, ratioOf } from "../run/measurements.js";

const COLOURS = ["#888888", "#111111", "#d62728", "#ff7f0e", "#1f77b4", "#17a2b8", "#9467bd", "#2ca02c", "#8c564b", "#e377c2"];
const [LEFT, WIDTH, TOP, RIGHT] = [190, 620, 64, 24];
const LINE_HEIGHT = 9;
const TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];

interface Axis {
  low: number;
  high: number;
}

function axisOf(values: readonly number[]): Axis {
  return { low: Math.min(0.5, ...values) * 0.9, high: Math.max(2, ...values) * 1.1 };
}

function across({ low, high }: Axis, value: number): string {
  return (LEFT + (Math.log(value / low) / Math.log(high / low)) * WIDTH).toFixed(1);
}

function escapeText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? "#000000";
}

function grid(axis: Axis, bottom: number): string[] {
  return TICKS.filter((tick) => tick >= axis.low && tick <= axis.high).flatMap((tick) => {
    const [x, colour] = [across(axis, tick), tick === 1 ? "#666666" : "#dddddd"];
    return [
      `<line x1="${x}" y1="${TOP - 6}" x2="${x}" y2="${bottom}" stroke="${colour}"/>`,
      `<text x="${x}" y="${bottom + 14}" text-anchor="middle">${tick}×</text>`,
    ];
  });
}

function legend(subjects: readonly string[]): string[] {
  return subjects.map((subject, index) => {
    const [x, y] = [12 + (index % 5) * 165, 36 + Math.floor(index / 5) * 14];
    return `<circle cx="${x}" cy="${y - 4}" r="4" fill="${colourOf(index)}"/><text x="${x + 8}" y="${y}">${escapeText(subject)}</text>`;
  });
}

function marks(result: PhaseResult, subjects: readonly string[], place: { axis: Axis; base: string; y: number }): string[] {
  return subjects.flatMap((subject, index) => {
    const ratio = ratioOf(result, subject, place.base);
    if (!ratio) return [];
    const [y, colour] = [place.y + index * LINE_HEIGHT, colourOf(index)];
    const [low, high] = [across(place.axis, ratio.low), across(place.axis, ratio.high)];
    return [
      `<line x1="${low}" y1="${y}" x2="${high}" y2="${y}" stroke="${colour}" stroke-width="2"/>`,
      `<circle cx="${across(place.axis, ratio.median)}" cy="${y}" r="3.5" fill="${colour}"/>`,
    ];
  });
}

/** `title` is shown; the axis says how many times as fast as `base`. */
export function drawPlot(title: string, results: readonly PhaseResult[], subjects: readonly string[], base: string): string {
  const others = subjects.filter((subject) => subject !== base);
  const rowHeight = others.length * LINE_HEIGHT + 12;
  const bottom = TOP + results.length * rowHeight;
  const values = results.flatMap((result) => others.flatMap((subject) => ratioOf(result, subject, base) ?? []));
  const axis = axisOf(values.flatMap(({ low, high }) => [low, high]));
  const rows = results.flatMap((result, at) => {
    const y = TOP + at * rowHeight + 6;
    const label = `<text x="${LEFT - 10}" y="${y + rowHeight / 2 - 6}" text-anchor="end">${escapeText(result.name)}</text>`;
    return [label, ...marks(result, others, { axis, base, y })];
  });
  const [width, height] = [LEFT + WIDTH + RIGHT, bottom + 24];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="12" y="18" font-size="14">${escapeText(`${title}: times as fast as ${base}`)}</text>`,
    ...legend(others),
    ...grid(axis, bottom),
    ...rows,
    "</svg>\n",
  ].join("\n");
}
