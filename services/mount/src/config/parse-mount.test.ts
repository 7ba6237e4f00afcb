import { MS } from "@sluice/native";
import { expect, test } from "vitest";
import { type MountArguments, durationOption, parseMount } from "./parse-mount.js";

const DEFAULTS: MountArguments = {
  onOutage: "deny",
  onRevoke: "report",
  staleFor: "5m",
  decisionTimeout: "5s",
  grace: "10s",
  maxStackDepth: "1",
  engine: "devfuse",
  locks: "auto",
  transport: "auto",
  idlePolling: "auto",
  keeper: "off",
  privilege: "auto",
  logLevel: "info",
};
const parse = (args: Partial<MountArguments>): ReturnType<typeof parseMount> => parseMount("/mnt", { ...DEFAULTS, ...args });

test("layers in order, from several options", () => {
  expect(parse({ lower: ["/a:/b", "/c\\:d"] }).lowers).toEqual(["/a", "/b", "/c:d"]);
});

test("data-only layers behind two colons", () => {
  expect(parse({ lower: ["/a:/b::/d"] })).toMatchObject({ lowers: ["/a", "/b"], dataLowers: ["/d"] });
});

test("without an upper layer the mount is read-only", () => {
  expect(parse({ lower: ["/a"] }).mountFlags & MS.RDONLY).toBe(MS.RDONLY);
  expect(parse({ lower: ["/a"], upper: "/u", work: "/w" }).mountFlags & MS.RDONLY).toBe(0);
});

test("parses the options of the decision service", () => {
  expect(parse({ lower: ["/a"] }).decision).toEqual({ kind: "none" });
  expect(parse({ lower: ["/a"], policy: "/p" }).decision).toEqual({ kind: "embedded", policyFile: "/p" });
  expect(parse({ lower: ["/a"], decision: "dns:///d:1" }).decision).toEqual({ kind: "remote", target: "dns:///d:1", tls: undefined });
  expect(parse({ lower: ["/a"], decision: "d:1", decisionCa: "/ca" }).decision).toMatchObject({ tls: { caFile: "/ca" } });
});

test("labels with any value", () => {
  expect(parse({ lower: ["/a"] }).policyLabels).toBeUndefined();
  expect(parse({ lower: ["/a"], label: ["pod.namespace=a", "team/x=b=c", "empty="] }).policyLabels).toEqual({
    "pod.namespace": "a",
    "team/x": "b=c",
    empty: "",
  });
});

test.each<[string, Partial<MountArguments>, RegExp]>([
  ["a label without a value", { lower: ["/a"], label: ["team"] }, /--label: "team" is not NAME=VALUE/],
  ["a label given twice", { lower: ["/a"], label: ["a=1", "a=2"] }, /--label: a is given twice/],
  ["a label that is too long", { lower: ["/a"], label: [`a=${"x".repeat(256)}`] }, /--label/],
  ["a decision timeout of no time", { lower: ["/a"], decisionTimeout: "0" }, /--decision-timeout: "0" is not between/],
  ["a decision timeout of a year", { lower: ["/a"], decisionTimeout: "8760h" }, /--decision-timeout: "8760h" is not between/],
  ["a data-only layer alone", { lower: ["::/d"] }, /--lower: a layer's name is empty/],
  [
    "more layers than a mount takes",
    { lower: [Array.from({ length: 501 }, (_, i) => `/l${i}`).join(":")] },
    /501 lower layers are more than the limit of 500/,
  ],
  ["no layer", {}, /--lower: no lower layer/],
  ["an empty name", { lower: ["/a:"] }, /--lower: a layer's name is empty/],
  ["layers given twice", { lower: ["/a"], o: ["lowerdir=/b"] }, /--lower: -o lowerdir= names lower layers too/],
  ["upper given twice", { lower: ["/a"], upper: "/u", work: "/w", o: ["upperdir=/v"] }, /--upper: -o upperdir= is given too/],
  ["work alone", { lower: ["/a"], work: "/w" }, /--work: a work directory needs an upper layer/],
  ["policy and target", { lower: ["/a"], policy: "/p", decision: "d:1" }, /--policy: cannot be combined/],
  ["certificate without a target", { lower: ["/a"], decisionCa: "/ca" }, /add --decision TARGET/],
  ["certificate without a key", { lower: ["/a"], decision: "d:1", decisionCert: "/c" }, /give both/],
  ["an unknown mode", { lower: ["/a"], onOutage: "allow" }, /--on-outage: "allow" is none of deny, mediate, stale/],
  ["a depth", { lower: ["/a"], maxStackDepth: "3" }, /--max-stack-depth: "3" is none of 1, 2/],
  ["an address", { lower: ["/a"], admin: "9090" }, /--admin: '9090' is not an address/],
  ["bytes that are not UTF-8", { lower: ["/a\ufffd"] }, /not valid UTF-8/],
])("%s is an error", (_what, args, message) => {
  expect(() => parse(args)).toThrow(message);
});

test("reads durations with and without a unit", () => {
  expect(["250ms", "30s", "5m", "1h", "2", "1.5s"].map((text) => durationOption(text, "--x"))).toEqual([
    250, 30_000, 300_000, 3_600_000, 2000, 1500,
  ]);
  expect(() => durationOption("soon", "--x")).toThrow(/--x: "soon" is not a duration/);
});
