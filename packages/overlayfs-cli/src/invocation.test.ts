import { expect, test } from "vitest";
import { parseMountHelper, parseOverlayfs } from "./invocation.js";

const plain = { kind: "mount", source: undefined, mountpoint: "/m", foreground: false, debug: false, fake: false, byMount: false };

test.each([
  [["-o", "lowerdir=a:b", "/m"], { ...plain, options: ["lowerdir=a:b"] }],
  [["-olowerdir=a", "-o", "ro", "--", "/m"], { ...plain, options: ["lowerdir=a", "ro"] }],
  [["src", "/m", "-o", "rw,lowerdir=a"], { ...plain, source: "src", options: ["rw,lowerdir=a"] }],
  [["-f", "-o", "lowerdir=a", "/m"], { ...plain, options: ["lowerdir=a"], foreground: true }],
  [["--debug", "/m"], { ...plain, options: [], foreground: true, debug: true }],
  [["-fd", "/m"], { ...plain, options: [], foreground: true, debug: true }],
  [["--version"], { kind: "version" }],
  [["-h"], { kind: "help" }],
  [["--install-helpers"], { kind: "install", prefix: "/" }],
  [["--install-helpers=/srv"], { kind: "install", prefix: "/srv" }],
  [["--install-helpers", "/srv"], { kind: "install", prefix: "/srv" }],
  [["--install-helpers", "--help"], { kind: "help" }],
])("sluice-overlayfs %j", (argv, expected) => {
  expect(parseOverlayfs(argv)).toEqual(expected);
});

test.each([
  ...[[[]], [["a", "b", "c"]], [["-x", "/m"]], [["/m", "-o"]], [["--fast", "/m"]]],
  ...[[["--install-helpersx"]], [["--install-helpers="]], [["--install-helpers", ""]], [["--install-helpers", "-x"]]],
  ...[[["--install-helpers", "/a", "/b"]], [["--install-helpers=/a", "/b"]], [["/m", "--install-helpers"]]],
])("sluice-overlayfs %j is an error", (argv) => {
  expect(() => parseOverlayfs(argv)).toThrow(/see 'sluice-overlayfs --help'/);
});

test.each([
  [["sluice", "/m", "-o", "rw,lowerdir=a"], { ...plain, source: "sluice", options: ["rw,lowerdir=a"] }],
  [["sluice", "/m", "-fnsv", "-t", "fuse.sluice", "-N", "/ns"], { ...plain, source: "sluice", options: [], fake: true }],
  [["sluice", "/m", "-r"], { ...plain, source: "sluice", options: ["ro"] }],
])("mount.fuse.sluice %j", (argv, expected) => {
  expect(parseMountHelper(argv)).toEqual({ ...expected, byMount: true });
});

test("mount(8) always gives a source", () => {
  expect(() => parseMountHelper(["/m"])).toThrow(/mount\(8\)/);
});
