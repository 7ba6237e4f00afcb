/** Cached paths are the present ones, whatever is renamed. */
import assert from "node:assert/strict";
import { seededRandom } from "@sluice/testkit/random";
import { type Attr, S } from "@sluice/vfs";
import { expect, it } from "vitest";
import type { RealDir } from "../layer/host-layer.js";
import { KnownPaths } from "./known-paths.js";
import { type Node, pathsOf } from "./node.js";
import { NodeTable } from "./node-table.js";

const LOWER_FILE = "0:0:77";
const FILES = 30;
const DIRECTORIES = 12;

it("gives a copy that parted from a lower file the paths of that file, also in a layer that is no longer the upper one", () => {
  const nodes = new NodeTable(() => undefined, undefined);
  const root = nodes.make(S.IFDIR);
  const [copy, lower] = [nodes.make(S.IFREG), nodes.make(S.IFREG)];
  for (const [node, name] of [
    [copy, "copy"],
    [lower, "lower"],
  ] as const)
    nodes.attach(node, root, name);
  nodes.rememberLowerLink(copy, LOWER_FILE);
  nodes.rememberLowerLink(lower, LOWER_FILE);
  nodes.partLowerLink(copy);
  const attr = { nlink: 1 } as Attr;
  lower.dir = { layer: { writable: false } } as RealDir;
  for (const writable of [true, false]) {
    copy.dir = { layer: { writable } } as RealDir;
    expect(new KnownPaths().of({ nodes }, copy, attr)).toEqual(["copy", "lower"]);
  }
  // Its object stays in memory: its record may not lead to the lower file again.
  expect(copy.isPlain).toBe(false);
});

it("gives the paths of a file after any change of names", () => {
  const nodes = new NodeTable(() => undefined, undefined);
  const core = { nodes };
  const known = new KnownPaths();
  const root = nodes.make(S.IFDIR);
  const { below: random, of: some } = seededRandom(7);
  let names = 0;
  const newName = (): string => `n${names++}`;
  const made = (kind: number, parent: Node): Node => {
    const node = nodes.make(kind);
    nodes.attach(node, parent, newName());
    return node;
  };
  const directories = [root];
  for (let at = 0; at < DIRECTORIES; at++) directories.push(made(S.IFDIR, some(directories)));
  const isBelow = (node: Node | undefined, above: Node): boolean => node !== undefined && (node === above || isBelow(node.parent, above));
  const files = Array.from({ length: FILES }, () => made(S.IFREG, some(directories)));
  const expectTruth = (): void =>
    assert.deepEqual(
      files.map((each) => known.of(core, each, undefined)),
      files.map(pathsOf),
    );
  let reused = 0;
  for (let step = 0; step < 5_000; step++) {
    const [file, target] = [some(files), some(directories)];
    const directory = directories[1 + random(DIRECTORIES)] as Node;
    const act = random(5);
    if (act === 0 && file.parent !== undefined)
      nodes.rename(file, { parent: file.parent, name: file.name }, { parent: target, name: newName() });
    if (act === 1 && file.others === undefined) nodes.attach(file, target, newName());
    if (act === 2 && file.parent !== undefined && file.others !== undefined) nodes.detach(file, file.parent, file.name);
    if (act === 3 && directory.parent !== undefined && !isBelow(target, directory)) {
      nodes.rename(directory, { parent: directory.parent, name: directory.name }, { parent: target, name: newName() });
    }
    // As a layer that others change makes it: lost, and found elsewhere.
    if (act === 4 && random(4) === 0 && directory.parent !== undefined && !isBelow(target, directory)) {
      nodes.detach(directory, directory.parent, directory.name);
      expectTruth();
      nodes.attach(directory, target, newName());
    }
    expectTruth();
    if (random(8) === 0) known.drop(some(files));
    const looked = some(files);
    if (looked.others === undefined && known.of(core, looked, undefined) === known.of(core, looked, undefined)) reused++;
  }
  expect(reused).toBeGreaterThan(1_000);
});
