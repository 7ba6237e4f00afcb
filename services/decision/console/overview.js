// The first page: the activity of the last minutes to a day, as this replica saw it, in charts by uPlot and in tables.
import { element, fill, get, table, tableRow } from "./server.js";

const at = (id) => document.getElementById(id);
const RANGES = { "5m": "5 minutes", "1h": "1 hour", "6h": "6 hours", "24h": "24 hours" };
/** A day changes less. */
const EVERY_MS = { "5m": 5_000, "1h": 15_000, "6h": 30_000, "24h": 60_000 };
const HEIGHT = 180;
const drawn = new Map();
const state = { range: "5m", timer: undefined, data: undefined };

const number = (value, digits = 1) => (value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(digits));
const perSecond = (value) => `${number(value)}/s`;
const percent = (value) => `${Math.round(value * 100)} %`;
const micros = (value) => (value >= 1000 ? `${number(value / 1000)} ms` : `${number(value)} µs`);

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
  { id: "c-bypass", series: ["kernel"], colors: ["--grant"], of: ({ bypass }) => [bypass], text: percent, most: 1 },
];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Values without neighbours, which no line shows. */
function alone(chart, index) {
  const values = chart.data[index];
  const has = (at) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => has(at) && !has(at - 1) && !has(at + 1));
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function options({ series, colors, text, most, least }, width) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_chart, _lowest, greatest) => [0, most ?? Math.max(greatest ?? 0, least) * 1.1] } },
    axes: [
      { ...axis, space: 60, size: 30, values: (_chart, times) => times.map(clock) },
      { ...axis, size: 64, values: (_chart, values) => values.map(text) },
    ],
    series: [
      { value: (_chart, seconds) => (seconds === null ? "" : new Date(seconds * 1000).toLocaleTimeString([], { hourCycle: "h23" })) },
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

function list(id, title, columns, rows) {
  at(id).replaceChildren(rows.length === 0 ? element("p", `${title}: none`, "hint") : table(title, columns, rows));
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
  const denied = data.denied.map(({ path, rule, count }) =>
    tableRow([
      [path, "path"],
      [rule, ""],
      [count, "number"],
    ]),
  );
  list("o-denied", "Most denied paths", ["Path", "Rule", "Denials"], denied);
}

function since(seconds) {
  if (seconds >= 7200) return `${Math.floor(seconds / 3600)} h`;
  return seconds >= 120 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

/** From the state of the service, which the whole console looks at. */
export function showPlaces({ policy, version, upS, mounts }) {
  const refused = policy.refusedEdit === null ? "" : "; the newest edit of the policy does not check";
  at("o-replica").textContent =
    `This replica: ready, up ${since(upS)}, Sluice ${version}, policy ${policy.id} revision ${policy.sequence}${refused}`;
  at("o-replica").className = policy.refusedEdit === null ? "" : "mediate";
  const rows = mounts.map(({ mount, version: mountVersion, since: connected, questions, report }) => {
    const open = report === null ? {} : report.openFiles;
    return tableRow([
      [mount, "path"],
      report === null ? ["connected", ""] : ["serving", "grant"],
      [connected.slice(0, 19).replace("T", " "), ""],
      [questions, "number"],
      [open.passthrough ?? 0, "number"],
      [open.mediated ?? 0, "number"],
      [mountVersion, ""],
    ]);
  });
  const columns = ["Mount", "State", "Connected since", "Questions", "Open: kernel", "Open: mount", "Version"];
  list("o-mounts", "Mounts", columns, rows);
}

function redraw() {
  for (const chart of drawn.values()) chart.destroy();
  drawn.clear();
  if (state.data !== undefined && !at("overview").hidden) show(state.data);
}

/** Looks while the page is shown. */
async function look(tell) {
  clearTimeout(state.timer);
  const { range } = state;
  try {
    if (!at("overview").hidden && !document.hidden) {
      const data = await get(`overview/${range}`);
      if (range === state.range) show(data);
    }
  } catch (error) {
    tell(error);
  }
  if (range === state.range) state.timer = setTimeout(() => void look(tell), EVERY_MS[range]);
}

export function startOverview(tell) {
  fill(
    at("o-ranges"),
    Object.entries(RANGES).map(([range, words]) => {
      const button = element("button", words);
      button.type = "button";
      button.setAttribute("aria-pressed", String(range === state.range));
      button.addEventListener("click", () => {
        state.range = range;
        for (const each of at("o-ranges").children) each.setAttribute("aria-pressed", String(each === button));
        void look(tell);
      });
      return button;
    }),
  );
  new ResizeObserver(() => state.data !== undefined && show(state.data)).observe(at("overview"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("hashchange", () => void look(tell));
  document.addEventListener("visibilitychange", () => void look(tell));
  void look(tell);
}
