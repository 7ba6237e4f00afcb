import { expect, test } from "vitest";
import { readChanges, readPolicyFacts } from "./read-status.js";
import { formatReport, type ReportData } from "./report.js";

const MIB = 1024 ** 2;

const DATA: ReportData = {
  policy: {
    granted: 12_345,
    mediated: 12,
    denied: 9,
    asked: 40,
    target: "unix:/run/decision.sock",
    fallbacks: {},
    layers: [{ name: "upper", path: "/scratch/upper", passthrough: "passthrough (ext4)" }],
  },
  decisionPid: 4711,
  denied: { attempts: [{ what: "read secrets/token", result: "EACCES" }] },
  frozen: { frozen: { readBytes: 1024 * MIB, readSeconds: 0.25, writtenBytes: 64 * MIB }, blocked: { readBytes: 4096 } },
  largeFile: {
    readBytes: 1024 * MIB,
    readSeconds: 1,
    writtenBytes: 512 * MIB,
    writeSeconds: 0.5,
    copyUpBytes: 256 * MIB,
    copyUpSeconds: 0.4,
    mappedBytes: 1280 * MIB,
  },
  throughput: {
    sequentialRead: { native: 8e9, passthrough: 7.6e9, mediated: 2e9 },
    randomRead: { native: 1_000_000, passthrough: 900_000, mediated: 50_000 },
    sequentialWrite: { native: 2e9, passthrough: 2e9, mediated: 5e8 },
  },
  upper: { changes: { added: 300, deleted: 1 }, kernel: { kind: "identical", objects: 8000 } },
  lower: { objects: 7926, differences: [], digest: "abc123" },
  seconds: 42.4,
};

const lineWith = (text: string, part: string): string => text.split("\n").find((line) => line.includes(part)) ?? "";

test("decisions are counted by effect", () => {
  const text = formatReport(DATA);
  expect(lineWith(text, "granted ")).toMatch(/granted +12,345 /);
  expect(lineWith(text, "mediated ")).toMatch(/mediated +12 /);
  expect(lineWith(text, "denied")).toMatch(/denied +9 .*read secrets\/token/);
  expect(lineWith(text, "asked")).toMatch(/asked +40 .*gRPC.*process 4711, unix:\/run\/decision.sock/);
});

test("throughput stands beside its share of native", () => {
  const text = formatReport(DATA);
  expect(lineWith(text, "sequential read")).toMatch(/8\.00 GB\/s +7\.60 GB\/s +95 % +2\.00 GB\/s +25 %/);
  expect(lineWith(text, "random read")).toMatch(/1,000,000\/s +900,000\/s +90 % +50,000\/s +5 %/);
  expect(lineWith(text, "sequential write")).toMatch(/2\.00 GB\/s +100 % +500 MB\/s +25 %/);
});

test("the stopped daemon's part names size and speed", () => {
  expect(lineWith(formatReport(DATA), "on descriptors opened before")).toContain("1 GiB read at 4.29 GB/s and 64 MiB written");
});

test("unchanged lower layers are said to be so, with the digest", () => {
  const text = formatReport(DATA);
  expect(text).toContain("unchanged: 7,926 objects");
  expect(text).toContain("abc123");
});

test("a changed lower layer is named loudly, and a long list is cut", () => {
  const differences = Array.from({ length: 8 }, (_, index) => `node_modules/a${index}: accessed`);
  const text = formatReport({ ...DATA, lower: { ...DATA.lower, differences } });
  expect(text).not.toContain("unchanged");
  expect(text).toContain("CHANGED in 8 objects");
  expect(text).toContain("a4: accessed");
  expect(text).not.toContain("a5: accessed");
  expect(text).toContain("and 3 more");
});

test("fallbacks are told, since they are granted opens that do not pass through", () => {
  expect(formatReport({ ...DATA, policy: { ...DATA.policy, fallbacks: { "stack-depth": 3 } } })).toContain(
    "granted, yet mediated: 3 (stack-depth)",
  );
});

test("changes are told in a fixed order, in words, and an unknown kind by its name", () => {
  const text = formatReport({ ...DATA, upper: { ...DATA.upper, changes: { novel: 1, metadata: 2, deleted: 0, added: 1300 } } });
  expect(text).toContain("  1,300 added, 2 changed in mode, owner or time only, 1 novel\n");
});

test("a skipped comparison says why", () => {
  const text = formatReport({ ...DATA, upper: { changes: {}, kernel: { kind: "skipped", reason: "no overlayfs" } } });
  expect(text).toContain("not compared with kernel overlayfs: no overlayfs");
  expect(text).toContain("  nothing");
});

test("status is summed by effect over its sources", () => {
  const facts = readPolicyFacts({
    decisions: { "grant/service": 5, "grant/stale": 1, "mediate/service": 2, "deny/service": 3, "deny/outage": 4 },
    fallbacks: {},
    decider: { target: "unix:/run/decision.sock" },
    overlay: {
      layers: [
        { name: "upper", path: "/u", fileSystem: "ext4", passthrough: { eligible: true } },
        { name: "lower0", path: "/l", fileSystem: "nfs", passthrough: { eligible: false, reason: "stacked" } },
      ],
    },
  });
  expect(facts).toMatchObject({ granted: 6, mediated: 2, denied: 7, asked: 10, target: "unix:/run/decision.sock" });
  expect(facts.layers.map((layer) => layer.passthrough)).toEqual(["passthrough (ext4)", "no passthrough: stacked"]);
});

test("changes are counted by kind; an unknown shape is refused", () => {
  expect(readChanges([{ kind: "added" }, { kind: "deleted" }, { kind: "added" }])).toEqual({ added: 2, deleted: 1 });
  expect(() => readChanges({ changes: 3 })).toThrow("diff is not a list");
});
