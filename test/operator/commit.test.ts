/** commit and reset, checked with the kernel's own overlayfs. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  diffSnapshots,
  file,
  mountKernelOverlay,
  mountsShareProcess,
  mountSluice,
  plant,
  requires,
  runSluice,
  scratch,
  treeHash,
} from "@sluice/testkit";
import { expect } from "vitest";
import { changedLayers, layersBelow, seen } from "./changed-layers.js";

mountsShareProcess();

const { test } = requires("CAP_SYS_ADMIN", "kernel overlayfs", "command getfattr", "command setfattr");

test("a committed layer shows the same merged tree, on top of its lower layer or flattened into one directory", async () => {
  const layers = changedLayers();
  // Reads update access times.
  const hash = (path: string): string => treeHash(path, { hardLinks: true });
  const before = [hash(layers.lower), hash(layers.upper)];
  const [on, flat] = [join(layers.root, "on top"), join(layers.root, "flat")];
  const args = ["commit", "--upper", layers.upper, "--lower", layers.lower, "--into"];
  const done = await runSluice([...args, on]);
  expect(done).toMatchObject({ code: 0, stderr: "" });
  expect(done.stdout).toMatch(/on top: \d+ objects; mount it with --lower .*on top:.*lower\n$/);
  expect(diffSnapshots(layers.merged, layersBelow([on, layers.lower]))).toEqual([]);
  expect(await runSluice([...args, flat, "--flatten"])).toMatchObject({ code: 0, stderr: "" });
  expect(diffSnapshots(layers.merged, seen(flat))).toEqual([]);
  expect([hash(layers.lower), hash(layers.upper)]).toEqual(before);
  const marks = execFileSync("getfattr", ["-R", "-h", "-d", "-m", "trusted.overlay", "--absolute-names", flat], { encoding: "utf8" });
  expect(marks).toBe("");
  // Holes stay holes.
  const blocks = (path: string): number => Number(execFileSync("stat", ["-c", "%b", join(path, "big hole")], { encoding: "utf8" }));
  expect(blocks(flat)).toBeLessThanOrEqual(blocks(layers.upper));
  expect((await runSluice([...args, on])).stderr).toMatch(/on top: it exists already \(EEXIST\)/);
  expect(readdirSync(layers.root).filter((name) => name.includes("partial"))).toEqual([]);
});

test("reset shows the changes that it will discard, asks, and leaves none of them", async () => {
  const layers = changedLayers();
  const args = ["reset", "--upper", layers.upper, "--work", layers.work, "--lower", layers.lower];
  const upper = treeHash(layers.upper);
  const unasked = await runSluice(args);
  expect(unasked).toMatchObject({ code: 2, stderr: "sluice: reset: there is no terminal to ask the question on: add --yes\n" });
  expect(treeHash(layers.upper)).toBe(upper);
  const done = await runSluice([...args, "--yes"]);
  expect(done).toMatchObject({ code: 0, stderr: expect.stringMatching(/changes discarded\n$/) });
  expect(done.stdout.split("\n")).toEqual(expect.arrayContaining(["D gone", "M written", "A new"]));
  expect([readdirSync(layers.upper), readdirSync(layers.work)]).toEqual([[], []]);
  expect(diffSnapshots(seen(layers.lower), layersBelow([layers.lower], layers)).filter((line) => !line.startsWith(".: mtimeNs"))).toEqual(
    [],
  );
});

test("layers that overlap are neither reset, committed nor repaired", async () => {
  const root = plant(scratch(), { "lower/f": "f", "lower/d/g": "g", "upper/new": "n", "work/left": "w" });
  const before = treeHash(root);
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(root, name)) as [string, string, string];
  const commit = ["commit", "--into", join(scratch(), "into")];
  const refused: readonly (readonly [words: readonly string[], relation: string])[] = [
    [["reset", "--yes", "--upper", lower, "--work", work, "--lower", lower], "upper layer is the same directory as lower layer"],
    [["reset", "--yes", "--upper", root, "--work", work, "--lower", lower], "upper layer contains lower layer"],
    [["reset", "--yes", "--upper", join(lower, "d"), "--work", work, "--lower", lower], "upper layer lies inside lower layer"],
    [["reset", "--yes", "--upper", upper, "--work", lower, "--lower", lower], "work directory is the same directory as lower layer"],
    [["reset", "--yes", "--upper", upper, "--work", upper, "--lower", lower], "work directory is the same directory as upper layer"],
    [[...commit, "--upper", upper, "--lower", `${lower}:${upper}`], "upper layer is the same directory as lower layer"],
    [["fsck", "--fix", "--upper", join(root, "lower", "..", "lower"), "--lower", lower], "upper layer is the same directory as"],
  ];
  for (const [words, relation] of refused)
    expect(await runSluice([...words])).toMatchObject({ code: 4, stderr: expect.stringContaining(`this ${relation}`) });
  expect(treeHash(root)).toBe(before);
});

test("a layer is not committed into one of its own layers", async () => {
  const root = plant(scratch(), { "lower/d/f": "f", "upper/d/new": "n" });
  const before = treeHash(root);
  const args = ["commit", "--upper", join(root, "upper"), "--lower", join(root, "lower"), "--into"];
  for (const into of ["lower/new", "lower/d/new", "upper/d/new layer"])
    expect(await runSluice([...args, join(root, into)])).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/: it would lie inside layer .*\/(lower|upper) \(ELOOP\): name a directory outside of the layers\n$/),
    });
  expect(treeHash(root)).toBe(before);
});

test("a mounted layer is neither committed nor reset, whoever mounted it", async () => {
  const root = scratch();
  const [lower, upper, work] = ["lower", "upper", "upper.work"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [lower, upper, work]) mkdirSync(path);
  plant(upper, { f: file("f") });
  const refused = async (by: RegExp): Promise<void> => {
    for (const command of [
      ["commit", "--into", join(root, "into")],
      ["reset", "--yes"],
    ]) {
      const result = await runSluice([...command, "--upper", upper, "--lower", lower]);
      expect(result.stderr).toMatch(by);
      expect(result.code).toBe(4);
    }
    expect([readdirSync(upper), existsSync(join(root, "into"))]).toEqual([["f"], false]);
  };
  const mount = await mountSluice({ lowers: [lower], upper, work });
  await refused(/upper: this upper layer is mounted \(EBUSY\): unmount it first/);
  await mount.stop();
  mountKernelOverlay({ lowers: [lower], upper, work });
  await refused(/upper: kernel overlayfs mounted on .* writes to this directory \(EBUSY\)/);
});
