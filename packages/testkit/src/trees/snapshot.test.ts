import { readdirSync, readFileSync, readlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { directory, file, plant, symlink, type Tree } from "./plant.js";
import { requires } from "../machine/requirements.js";
import { scratch } from "./scratch.js";
import { diffSnapshots, snapshot, treeHash } from "./snapshot.js";

const NS = 1_000_000_000n;
const BASE: Tree = {
  "d/": directory({ mtimeNs: NS }),
  "d/f": file("content", { mtimeNs: NS }),
  "d/l": symlink("f", { mtimeNs: NS }),
};

function planted(tree: Tree): string {
  const root = plant(scratch(), tree);
  utimesSync(root, 1, 1);
  return root;
}

function differenceTo(change: Tree): string[] {
  return diffSnapshots(snapshot(planted(BASE)), snapshot(planted({ ...BASE, ...change })));
}

describe("diffSnapshots", () => {
  test("finds nothing between equal trees", () => {
    expect(differenceTo({})).toEqual([]);
  });

  test.each<[string, Tree, RegExp]>([
    ["content of the same size", { "d/f": file("CONTENT", { mtimeNs: NS }) }, /^d\/f: content /],
    ["mode", { "d/f": file("content", { mode: 0o600, mtimeNs: NS }) }, /^d\/f: mode "644" ≠ "600"$/],
    ["one nanosecond", { "d/f": file("content", { mtimeNs: NS + 1n }) }, /^d\/f: mtimeNs "1000000000" ≠ "1000000001"$/],
    ["link target", { "d/l": symlink("g", { mtimeNs: NS }) }, /^d\/l: target "f" ≠ "g"$/],
    ["attribute", { "d/f": file("content", { mtimeNs: NS, xattrs: { "user.a": "1" } }) }, /^d\/f: xattrs \{\} ≠ \{"user.a":"31"\}$/],
    ["further name", { "d/g": file("", { mtimeNs: NS }) }, /^d\/g: only on the right \(file\)$/],
  ])("finds a different %s, and only that", (_, change, expected) => {
    const lines = differenceTo(change);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(expected);
  });

  requires("CAP_SYS_ADMIN").test("finds a different owner", () => {
    expect(differenceTo({ "d/f": file("content", { uid: 7, mtimeNs: NS }) })).toEqual(['d/f: owner "0:0" ≠ "7:0"']);
  });
});

requires("CAP_SYS_ADMIN").describe("treeHash", () => {
  test("does not move what it measures", () => {
    const root = planted(BASE);
    expect(treeHash(root)).toBe(treeHash(root));
  });

  test.each<[string, (root: string) => unknown]>([
    ["read", (root) => readFileSync(join(root, "d/f"))],
    ["listing", (root) => readdirSync(join(root, "d"))],
    ["readlink", (root) => readlinkSync(join(root, "d/l"))],
  ])("notices a %s by the access time", (_, touch) => {
    const root = planted(BASE);
    // Access times older than a day move on the first access, also under relatime.
    for (const name of ["d", "d/f"]) utimesSync(join(root, name), 1, 1);
    const before = treeHash(root);
    touch(root);
    expect(treeHash(root)).not.toBe(before);
  });
});
