import type { ProfileFrame } from "@sluice/mount-control";
import { expect, test } from "vitest";
import { flameGraph } from "./flame-graph.js";

/** `tree`: its id, and its caller's. */
const frame = (tree: readonly [number, number | null], name: string, selfMs: number, url = ""): ProfileFrame => {
  const [id, parent] = tree;
  return { id, parent, name, selfMs, url, line: 7 };
};

/** The widths of the bars by the first line of their titles. */
function widths(svg: string): Record<string, number> {
  const bars = [...svg.matchAll(/<title>([^\n<]*)[^]*?width="([\d.]+)"/g)];
  return Object.fromEntries(bars.map(([, name, width]) => [name, Number(width)]));
}

test("draws each function as wide as its time with that of the functions it called, and leaves idle time out", () => {
  const svg = flameGraph(
    [
      frame([1, null], "(root)", 0),
      frame([2, 1], "(idle)", 9000),
      frame([3, 1], "serve", 10, "chunks/packages/cli/dist/main.js"),
      frame([4, 3], "open", 30, "file:///opt/sluice/node_modules/a/node_modules/b/index.js"),
      frame([5, 3], "read", 0, "node:fs"),
      frame([6, 5], "(garbage collector)", 40),
    ],
    "view",
  );
  const all = 1180;
  const drawn = widths(svg);
  expect(drawn["all"]).toBeCloseTo(all - 0.5, 0);
  expect(drawn["serve"]).toBeCloseTo(all - 0.5, 0);
  expect(drawn["open"]).toBeCloseTo((all * 30) / 80 - 0.5, 0);
  expect(drawn["read"]).toBeCloseTo((all * 40) / 80 - 0.5, 0);
  expect(drawn["(garbage collector)"]).toBe(drawn["read"]);
  expect(Object.keys(drawn)).not.toContain("(idle)");
  expect(svg).toContain("serve\nchunks/packages/cli/dist/main.js:7\n80.0 ms, 100.0 %; itself 10.0 ms");
  expect(svg).toContain("open\nb/index.js:7\n30.0 ms, 37.5 %");
  expect(svg).toContain("busy 80 ms of 9080 ms");
  expect(svg).toMatch(/class="ours"[^]*class="module"[^]*class="node"[^]*class="engine"/);
});

test("escapes names, whatever they hold", () => {
  const evil = `</text><script>alert("1")</script>&'\u0000\u001b[31m\ud800]]>`;
  const svg = flameGraph([frame([1, null], "(root)", 0), frame([2, 1], evil, 5, `file:///a/${evil}`)], evil);
  expect(svg).not.toMatch(/<script|alert\("/);
  expect(svg).not.toMatch(/&(?!amp;|lt;|gt;|quot;|apos;)/);
  // oxlint-disable-next-line no-control-regex -- XML knows no control characters
  expect(svg).not.toMatch(/[\u0000-\u0008\u000b-\u001f\ud800-\udfff]/);
  expect(svg).toContain("&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&apos;\ufffd\ufffd[31m\ufffd]]&gt;");
});

test("draws a profile without any time", () => {
  expect(flameGraph([frame([1, null], "(root)", 0), frame([2, 1], "(idle)", 5)], "idle")).toContain("busy 0 ms of 5 ms");
  expect(flameGraph([], "empty")).toContain("</svg>");
});
