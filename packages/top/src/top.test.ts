import { expect, test } from "vitest";
import type { ActivityReport, DurationCounts } from "@sluice/mount-control";
import { frame } from "./frame.js";
import { between, percentileMs } from "./rates.js";
import { FIRST_VIEW, keyLine, pressed, type View } from "./view.js";

const durations = (...counts: number[]): DurationCounts => {
  return { boundsMs: [1, 10], counts, sumMs: 0, count: counts.reduce((sum, count) => sum + count, 0) };
};

const second = { atMs: 2000, busy: 0.5, pauseMs: 3.24, collectedMs: 10, queued: 4, worstMs: { OPEN: 12.3, LOOKUP: 0.25 } };

const before: ActivityReport = {
  mountpoint: "/mnt/view",
  atMs: 1000,
  uptimeMs: 10_000,
  engine: "devfuse",
  passthrough: true,
  state: "serving",
  inFlight: 0,
  requests: { OPEN: { errors: 1, durations: durations(5, 1, 0) } },
  opens: { passthrough: 4, mediated: 1 },
  openNow: { passthrough: 1 },
  decisions: { "grant/cache": 3, "deny/service": 2 },
  decisionDurations: durations(1, 1, 0),
  rules: [["default", { grant: 3, mediate: 0, deny: 0 }]],
  paths: [{ path: "old", count: 5, atMostOver: 0 }],
  denied: [],
  deniedUnnamed: 5,
  mediatedBytes: { read: 100 },
  copyUps: { count: 0, bytes: 0, underWay: [] },
  grants: 1,
  revoked: 0,
};

const now: ActivityReport = {
  ...before,
  atMs: 3000,
  uptimeMs: 12_000,
  inFlight: 2,
  // The first one is of an earlier interval.
  seconds: [{ ...second, atMs: 1000, pauseMs: 99 }, second, { ...second, atMs: 3000, busy: 0.1, pauseMs: 1, collectedMs: 0, queued: null }],
  requests: {
    OPEN: { errors: 3, durations: { ...durations(11, 3, 2), sumMs: 40 } },
    LOOKUP: { errors: 0, durations: { ...durations(200, 0, 0), sumMs: 10 } },
  },
  opens: { passthrough: 10, mediated: 3 },
  openNow: { passthrough: 2, mediated: 1 },
  decisions: { "grant/cache": 9, "deny/service": 4 },
  decisionDurations: durations(1, 3, 0),
  rules: [
    ["default", { grant: 9, mediate: 0, deny: 0 }],
    ["keys", { grant: 0, mediate: 0, deny: 2 }],
  ],
  paths: [
    { path: "new", count: 9, atMostOver: 5 },
    { path: "old", count: 5, atMostOver: 0 },
  ],
  denied: [
    { path: "k\u001b[31mey.pem", rule: "keys", program: "/bin/c\nat", uid: 1000, pid: 42, count: 7, atMostOver: 3 },
    { path: "other.pem", rule: "keys", program: "", uid: 0, pid: 0, count: 2, atMostOver: 0 },
  ],
  deniedUnnamed: 11,
  mediatedBytes: { read: 4_000_100 },
  copyUps: {
    count: 1,
    bytes: 2000,
    underWay: [{ path: "b\u001b[31mig", sizeBytes: 2_000_000_000, copiedBytes: 500_000_000, elapsedMs: 4200 }],
  },
};

test("shows the activity between two reports", () => {
  expect(frame(between(before, now), "every 2 s").join("\n")).toBe(
    `
/mnt/view  serving, devfuse, passthrough on; every 2 s

server      30 % busy, 1 % garbage collection, longest pause 3.2 ms; at most 4 requests in the kernel's queue
requests    105/s, 1/s with an error, 2 waiting
opens       4/s: 75 % passthrough, 25 % mediated
open now    2 passthrough, 1 mediated; 1 grants in force, 0 of them revoked
decisions   4/s: 75 % grant, 25 % deny; from 75 % cache, 25 % service
asked       within ms: p50 10, p90 10, p99 10
mediated    2.0 MB/s read, 0 B/s written; 1.0 kB/s copied up

COPY-UP                        BYTES               SINCE  PATH
25 %     #####...............  500.0 MB of 2.0 GB  4 s    b\\033[31mig

OPERATION  A SECOND  ERRORS  TIME  P50 MS  P90  P99  WORST
LOOKUP     100       0       20 %  1       1    1    0.25
OPEN       5         1       80 %  1       >10  >10  12

RULE, A SECOND  GRANT  MEDIATE  DENY
default         3      0        0
keys            0      0        1

DENIED  PATH, A SECOND                       RULE  PROGRAM     PID  UID
2       k\\033[31mey.pem                      keys  /bin/c\\nat  42   1000
1       other.pem                            keys  -           0    0
3       (too many in a second to name them)

OPENS  HOTTEST PATHS, A SECOND
2      new`.slice(1),
  );
});

test("shows the activity since the start, and an idle mount", () => {
  expect(between(undefined, now).seconds).toBe(12);
  const idle = frame(between(now, { ...now, atMs: 5000, uptimeMs: 14_000, copyUps: { count: 1, bytes: 2000, underWay: [] } }), "every 2 s");
  expect(idle).toHaveLength(8);
  expect(idle).toEqual(expect.arrayContaining(["opens       0/s: none", "asked       within ms: p50 -, p90 -, p99 -"]));
});

test("a percentile is the bound that so many did not pass", () => {
  expect([0.5, 0.9, 0.99, 1].map((share) => percentileMs(durations(90, 9, 1), share))).toEqual([1, 1, 10, Number.POSITIVE_INFINITY]);
  expect(percentileMs(durations(0, 0, 0), 0.5)).toBeUndefined();
});

test("counts of another server start from zero", () => {
  const restarted = { ...now, atMs: 9000, uptimeMs: 4000 };
  expect(between(now, restarted)).toMatchObject({ seconds: 4, decisions: { "grant/cache": 9 } });
});

test("on a small terminal each table keeps its first rows", () => {
  const requests = Object.fromEntries(
    Array.from("abcdefghijkl").map((name, index) => [name, { errors: index, durations: durations(100 - index) }]),
  );
  const picture = frame(between(undefined, { ...now, requests }), "", { view: FIRST_VIEW, rows: 23, keys: true });
  expect(picture).toHaveLength(23);
  expect(picture[1]).toBe("p pauses; s sorts: most first; / filters; q ends");
  for (const title of ["COPY-UP", "OPERATION", "RULE", "OPENS"]) {
    const head = picture.findIndex((line) => line.startsWith(title));
    expect(picture[head + 1]).toBeTruthy();
  }
  expect(frame(between(undefined, { ...now, requests }), "", { view: FIRST_VIEW, rows: 5, keys: true }).length).toBeGreaterThan(5);
});

test("shows an idle mount on a terminal of few rows", () => {
  const later = { ...now, atMs: 5000, uptimeMs: 14_000, copyUps: { count: 1, bytes: 2000, underWay: [] } };
  expect(frame(between(now, later), "", { view: FIRST_VIEW, rows: 3, keys: true })).toHaveLength(8);
});

test("keys sort and filter", () => {
  const after = (...keys: string[]): View => keys.reduce<View>((view, key) => pressed(view, key) as View, FIRST_VIEW);
  const shown = (view: View): string => frame(between(before, now), "", { view, rows: 100, keys: false }).join("\n");
  expect(shown(after())).toMatch(/^LOOKUP.*\nOPEN [^]*^default.*\nkeys /m);
  expect(shown(after("s"))).toMatch(/^OPEN .*\nLOOKUP[^]*^keys.*\ndefault/m);
  expect(shown(after("s", "s"))).toMatch(/^OPEN .*\nLOOKUP[^]*^default.*\nkeys /m);
  expect(after("s", "s", "s")).toEqual(FIRST_VIEW);
  const filtered = after("/", "k", "x", "\u007f", "e", "\r");
  expect(keyLine(filtered)).toContain('/ filters: "ke"');
  expect(shown(filtered)).not.toMatch(/default|new|COPY-UP/);
  expect(shown(filtered)).toMatch(/^keys/m);
  expect(after("/", "q", "p", "\u001b")).toEqual(FIRST_VIEW);
  expect(after("/", "q")).toMatchObject({ filter: "q", typing: true });
  expect(after("p")).toMatchObject({ paused: true });
  expect(after("p", " ")).toEqual(FIRST_VIEW);
  expect(["q", "\u0003", "\u0004"].map((key) => pressed(FIRST_VIEW, key))).toEqual(["end", "end", "end"]);
  expect(pressed(after("/"), "\u0003")).toBe("end");
});
