// The first page: the activity of the last minutes to a day, as this replica saw it, in charts by uPlot and in tables.
import { bytesPerSecond, clock, micros, percent, perSecond } from "./figures.js";
import { list } from "./places.js";
import { element, fill, get, tableRow } from "./server.js";

const at = (id) => document.getElementById(id);
const RANGES = { "5m": "5 minutes", "1h": "1 hour", "6h": "6 hours", "24h": "24 hours" };
/** A day changes less. */
const EVERY_MS = { "5m": 5_000, "1h": 15_000, "6h": 30_000, "24h": 60_000 };
const HEIGHT = 180;
const drawn = new Map();
const state = { range: "5m", timer: undefined, data: undefined };

/** Each chart: its series with a color of console.css, how a value is written, and the value at its top, or the least one there. */
const CHARTS = [
  {
    id: "c-effects",
    series: ["grant", "mediate", "ask", "deny"],
    colors: ["--grant", "--mediate", "--ask", "--deny"],
    least: 1,
    of: ({ effects }) => [effects.grant, effects.mediate, effects.ask, effects.deny],
    text: perSecond,
  },
  {
    id: "c-answers",
    series: ["from caches", "asked here"],
    colors: ["--link", "--mediate"],
    least: 1,
    of: ({ cached, asked }) => [cached, asked],
    text: perSecond,
  },
  {
    id: "c-times",
    series: ["p50", "p99"],
    colors: ["--link", "--deny"],
    least: 10,
    of: ({ p50Us, p99Us }) => [p50Us, p99Us],
    text: micros,
  },
  {
    id: "c-bypass",
    series: ["of open files", "of opens"],
    colors: ["--grant", "--link"],
    of: ({ bypass, bypassOpens }) => [bypass, bypassOpens],
    text: percent,
    most: 1,
  },
  {
    id: "c-bytes",
    series: ["read", "written"],
    colors: ["--link", "--mediate"],
    least: 1000,
    of: ({ read, written }) => [read, written],
    text: bytesPerSecond,
  },
];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Values without neighbours, which no line shows. */
function alone(chart, index) {
  const values = chart.data[index];
  const has = (at) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => has(at) && !has(at - 1) && !has(at + 1));
}

const axisTime = (seconds) => clock(new Date(seconds * 1000)).slice(0, 5);

function options({ series, colors, text, most, least }, width) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_chart, _lowest, greatest) => [0, most ?? Math.max(greatest ?? 0, least) * 1.1] } },
    axes: [
      { ...axis, space: 60, size: 30, values: (_chart, times) => times.map(axisTime) },
      { ...axis, size: 72, values: (_chart, values) => values.map(text) },
    ],
    series: [
      { value: (_chart, seconds) => (seconds === null ? "" : clock(new Date(seconds * 1000))) },
      ...series.map((label, index) => ({
        label,
        stroke: color(colors[index]),
        width: 2,
        points: { show: true, size: 6, fill: color(colors[index]), filter: alone },
        value: (_chart, value) => (value === null || value === undefined ? "–" : text(value)),
      })),
    ],
  };
}

/** The newest values in words, for everybody who does not see the lines. */
function summary({ series, text }, lists) {
  const last = series.map((label, index) => {
    const value = lists[index].findLast((each) => each !== null);
    return `${label} ${value === undefined ? "–" : text(value)}`;
  });
  return last.join(", ");
}

function draw(chart, data) {
  const place = at(chart.id);
  const lists = chart.of(data);
  place.parentElement.querySelector("figcaption span").textContent = summary(chart, lists);
  const width = place.clientWidth;
  if (width === 0) return;
  const before = drawn.get(chart.id);
  if (before !== undefined) {
    before.setSize({ width, height: HEIGHT });
    before.setData([data.times, ...lists]);
    return;
  }
  drawn.set(chart.id, new window.uPlot(options(chart, width), [data.times, ...lists], place));
}

function show(data) {
  state.data = data;
  for (const chart of CHARTS) draw(chart, data);
  const share = data.rules.reduce((sum, { count }) => sum + count, 0);
  const rules = data.rules.map(({ effect, rule, count }) =>
    tableRow([
      [rule, ""],
      [effect, effect],
      [count, "number"],
      [percent(share === 0 ? 0 : count / share), "number"],
    ]),
  );
  list("o-rules", "Hottest rules", ["Rule", "Effect", "Decisions", "Share"], rules);
  const denied = data.denied.map(({ path, rule, program, pid, uid, count }) =>
    tableRow([
      [path, "path"],
      [rule, ""],
      [program === "" ? "–" : program, "path"],
      [pid, "number"],
      [uid, "number"],
      [count, "number"],
    ]),
  );
  list("o-denied", "Most denied paths", ["Path", "Rule", "Program", "pid", "uid", "Denials"], denied);
}

function redraw() {
  for (const chart of drawn.values()) chart.destroy();
  drawn.clear();
  if (state.data !== undefined && !at("overview").hidden) show(state.data);
}

/** Looks while the page is shown. */
async function look() {
  clearTimeout(state.timer);
  const { range } = state;
  try {
    if (!at("overview").hidden && !document.hidden) {
      const data = await get(`overview/${range}`);
      if (range === state.range) show(data);
    }
  } catch {
    // The frame looks at the service, too, and tells that it does not answer.
  }
  if (range === state.range) state.timer = setTimeout(() => void look(), EVERY_MS[range]);
}

export function startOverview() {
  fill(
    at("o-ranges"),
    Object.entries(RANGES).map(([range, words]) => {
      const button = element("button", words);
      button.type = "button";
      button.setAttribute("aria-pressed", String(range === state.range));
      button.addEventListener("click", () => {
        state.range = range;
        for (const each of at("o-ranges").children) each.setAttribute("aria-pressed", String(each === button));
        void look();
      });
      return button;
    }),
  );
  new ResizeObserver(() => state.data !== undefined && show(state.data)).observe(at("overview"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("hashchange", () => void look());
  document.addEventListener("visibilitychange", () => void look());
  void look();
}
