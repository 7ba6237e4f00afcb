import { writeFileSync } from "node:fs";
import { Errno, O } from "@sluice/vfs";
import { scratch } from "@sluice/testkit";
import { expect, onTestFinished, test } from "vitest";
import { HostLayer, type RealDir } from "../layer/host-layer.js";
import { sys } from "../layer/system-calls.js";
import { withFault } from "../layer/testing/with-fault.js";
import { missed } from "./known-absence.js";

const alone = { config: { sharedLower: false }, marks: { foreign: false } };
const MANY = 64;

/** The root of a layer with these files, after so many misses in it. */
function afterMisses(names: readonly string[], misses: number, how: { core?: typeof alone; writable?: boolean } = {}): RealDir {
  const folder = scratch();
  for (const name of names) writeFileSync(`${folder}/${name}`, "");
  const rootFd = sys.openat(-1, folder, O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  const layer = new HostLayer(0, "lower0", { path: folder, rootFd }, how.writable ?? false);
  onTestFinished(() => layer.close());
  for (let i = 0; i < misses; i++) missed(how.core ?? alone, layer.root, rootFd);
  return layer.root;
}

test("a lower directory gets a filter of its names once names were missed in it often", () => {
  expect(afterMisses(["a", "b"], 7).filter).toBeUndefined();
  const { filter } = afterMisses(["a", "b"], 8);
  expect(["a", "b", ".", "missing"].map((name) => filter?.lacks(name))).toEqual([false, false, false, true]);
});

test("a long directory needs more misses", () => {
  const names = Array.from({ length: 300 }, (_, index) => `name-${index}`);
  expect(afterMisses(names, 31).filter).toBeUndefined();
  expect(afterMisses(names, 32).filter?.lacks("missing")).toBe(true);
});

test.each([
  ["others change the lower layers", { core: { ...alone, config: { sharedLower: true } } }],
  ["marks of other implementations hide names", { core: { ...alone, marks: { foreign: true } } }],
  ["the directory is in the upper layer", { writable: true }],
])("a directory gets no filter if %s", (_reason, how) => {
  expect(afterMisses(["a"], MANY, how).filter).toBeUndefined();
});

test("a directory gets no filter if it may find names in several spellings", () => {
  expect(afterMisses(["a", "A"], MANY).filter).toBeUndefined();
  expect(afterMisses(["a", "caf\u00e9"], MANY).filter).toBeUndefined();
  expect(withFault({ call: "statx", errno: Errno.EACCES }, () => afterMisses(["a"], MANY)).filter).toBeUndefined();
  expect(afterMisses(["1", "2"], MANY).filter?.lacks("3")).toBe(true);
});

test("a directory that cannot be read gets no filter", () => {
  expect(withFault({ call: "openat", errno: Errno.EACCES, after: 1 }, () => afterMisses(["a"], MANY)).filter).toBeUndefined();
});
