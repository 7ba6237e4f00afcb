/**
 * A profile as an SVG without scripts: a bar for each function under the one that called it, as wide as its time. Names come from the
 * profiled process, so every text is escaped.
 */
import type { ProfileFrame } from "@sluice/mount-control";

const WIDTH = 1200;
const ROW = 18;
const MARGIN = 10;
const HEAD = 46;
/** Of the font's characters, in pixels. */
const CHARACTER = 7.1;
/** Narrower bars cannot be seen. */
const LEAST_WIDTH = 0.4;
const DEEPEST = 200;

/** V8's word for the time in which nothing was to be done. */
const IDLE = "(idle)";

interface Bar {
  name: string;
  place: string;
  kind: "ours" | "module" | "node" | "engine";
  totalMs: number;
  selfMs: number;
  calls: Bar[];
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** Also replaces characters that XML does not know. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

/** Without the directory of the installation. */
function placeOf({ url, line }: ProfileFrame): string {
  if (url === "") return "";
  const path = url.replace(/^file:\/\//, "");
  const inside =
    /(?:^|\/)(?:node_modules\/(?!.*\/node_modules\/)|(?=bundle\/|chunks\/|packages\/|services\/))(.*)$/.exec(path)?.[1] ?? path;
  return `${inside}:${line}`;
}

function kindOf({ url }: ProfileFrame): Bar["kind"] {
  if (url === "") return "engine";
  if (url.startsWith("node:")) return "node";
  return url.includes("/node_modules/") ? "module" : "ours";
}

/** @returns the bars below V8's root, and the time in which nothing was to be done */
function barsOf(frames: readonly ProfileFrame[]): { root: Bar; idleMs: number } {
  const bars = new Map<number, Bar>();
  const root: Bar = { name: "all", place: "", kind: "engine", totalMs: 0, selfMs: 0, calls: [] };
  let idleMs = 0;
  for (const frame of frames) {
    const { id, parent, name, selfMs } = frame;
    if (name === IDLE) idleMs += selfMs;
    else if (parent === null) bars.set(id, root);
    else
      bars.set(id, {
        name: name === "" ? "(anonymous)" : name,
        place: placeOf(frame),
        kind: kindOf(frame),
        totalMs: selfMs,
        selfMs,
        calls: [],
      });
  }
  // Callers come before the functions that they call.
  for (const { id, parent } of [...frames].reverse()) {
    const bar = bars.get(id);
    const caller = parent === null ? undefined : bars.get(parent);
    if (bar === undefined || caller === undefined || bar.totalMs === 0) continue;
    caller.totalMs += bar.totalMs;
    caller.calls.unshift(bar);
  }
  return { root, idleMs };
}

interface Drawing {
  parts: string[];
  scale: number;
  allMs: number;
  deepest: number;
}

function draw(bar: Bar, { x, depth }: { x: number; depth: number }, drawing: Drawing): void {
  const width = bar.totalMs * drawing.scale;
  if (width < LEAST_WIDTH || depth > DEEPEST) return;
  drawing.deepest = Math.max(drawing.deepest, depth);
  const y = HEAD + depth * ROW;
  const share = ((bar.totalMs / drawing.allMs) * 100).toFixed(1);
  const title = [bar.name, bar.place, `${bar.totalMs.toFixed(1)} ms, ${share} %; itself ${bar.selfMs.toFixed(1)} ms`].filter(
    (line) => line !== "",
  );
  const room = Math.floor((width - 6) / CHARACTER);
  const label = room < 3 ? "" : bar.name.length > room ? `${bar.name.slice(0, room - 1)}…` : bar.name;
  const text = label === "" ? "" : `<text x="${(x + 3).toFixed(1)}" y="${y + 13}">${escaped(label)}</text>`;
  const rect = `<rect class="${bar.kind}" x="${x.toFixed(1)}" y="${y}" width="${Math.max(width - 0.5, 0.2).toFixed(1)}" height="${ROW - 1}" rx="2"/>`;
  drawing.parts.push(`<g><title>${escaped(title.join("\n"))}</title>${rect}${text}</g>`);
  let at = x;
  for (const call of bar.calls) {
    draw(call, { x: at, depth: depth + 1 }, drawing);
    at += call.totalMs * drawing.scale;
  }
}

const STYLE = `svg{background:#fff;font:12px ui-monospace,monospace}text{fill:#1c1e21;pointer-events:none}.title{font:600 14px system-ui,sans-serif}
.ours{fill:#f2a65a}.module{fill:#8fb8de}.node{fill:#a3c9a8}.engine{fill:#c9c9cf}rect:hover{stroke:#1c1e21}
@media (prefers-color-scheme:dark){svg{background:#16181c}text{fill:#e8e8ea}g text{fill:#16181c}rect:hover{stroke:#fff}}`;

/** `title` names the profile. */
export function flameGraph(frames: readonly ProfileFrame[], title: string): string {
  const { root, idleMs } = barsOf(frames);
  const allMs = Math.max(root.totalMs, 0.001);
  const drawing: Drawing = { parts: [], scale: (WIDTH - 2 * MARGIN) / allMs, allMs, deepest: 0 };
  draw(root, { x: MARGIN, depth: 0 }, drawing);
  const height = HEAD + (drawing.deepest + 1) * ROW + MARGIN;
  const busy = `busy ${root.totalMs.toFixed(0)} ms of ${(root.totalMs + idleMs).toFixed(0)} ms; orange: Sluice, blue: packages, green: Node, grey: V8`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="100%">`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="${MARGIN}" y="18">${escaped(title)}</text>`,
    `<text x="${MARGIN}" y="36">${escaped(busy)}</text>`,
    ...drawing.parts,
    "</svg>",
    "",
  ].join("\n");
}
