import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import {
  diffSnapshots,
  directory,
  file,
  hardLink,
  plant,
  requires,
  scratch,
  snapshot,
  symlink,
  type Tree,
  whiteout,
} from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";
import { LayerStack } from "./layer-stack.js";
import { walkUppers } from "./merge-uppers.js";
import { openTree } from "./tree.js";
import { walkMerged } from "./walk-layers.js";
import { LayerWriter } from "./write-layer.js";

const { test } = requires("CAP_SYS_ADMIN");
const redirect = (to: string) => directory({ xattrs: { "trusted.overlay.redirect": to } });

const BASE: Tree = {
  same: file("s"),
  gone: file("g"),
  back: file("b"),
  "dir/x": file("x"),
  "dir/sub/y": file("y"),
  "whole/a": file("a"),
  "plain/in": file("in"),
  "hidden/deep/z": file("z"),
  kind: file("a file"),
  "folder/f": file("f"),
};
const OLDER: Tree = {
  gone: whiteout(),
  back: whiteout(),
  dir: whiteout(),
  "moved/": redirect("/dir"),
  "moved/new": file("new"),
  "whole/": directory({ opaque: true }),
  "whole/b": file("b"),
  "whole/c": file("c"),
  "plain/added": file("added", { xattrs: { "trusted.overlay.overlay.opaque": "y", "user.note": "kept" } }),
  hidden: whiteout(),
  "kind/": directory(),
  "kind/of": file("folder"),
  folder: file("a file now"),
  "own/one": file("one file"),
  "own/two": hardLink("own/one"),
  link: symlink("old"),
};
const NEWER: Tree = {
  back: file("back again"),
  moved: whiteout(),
  "again/": redirect("/moved"),
  "again/x": whiteout(),
  "again/sub": whiteout(),
  "deep/place/": redirect("/moved/sub"),
  "deep/place/more": file("more"),
  "whole/b": whiteout(),
  "whole/d": file("d"),
  "plain/in": file("changed", { mode: 0o600 }),
  "plain/added": whiteout(),
  "hidden/": directory({ opaque: true, mode: 0o700 }),
  "hidden/w": file("w"),
  kind: whiteout(),
  "folder/": directory(),
  "renamed/": redirect("own"),
  own: whiteout(),
  link: symlink("new"),
};

function open(root: string, name: string, tree: Tree): ReturnType<typeof openTree> {
  mkdirSync(join(root, name));
  plant(join(root, name), tree);
  return openTree(join(root, name), false);
}

async function written(
  stack: LayerStack,
  path: string,
  items: Iterable<Parameters<LayerWriter["write"]>[0] extends Iterable<infer I> ? I : never>,
) {
  mkdirSync(path);
  await new LayerWriter(stack, native.openat(-100, path, O.RDONLY | O.DIRECTORY, 0)).write(items);
}

test("one upper layer made of two shows the same tree, with redirects into the lower layer and no other copy", async () => {
  const root = scratch();
  const [newer, older, base] = [open(root, "newer", NEWER), open(root, "older", OLDER), open(root, "base", BASE)] as const;
  const two = new LayerStack([newer, older, base], { uppers: 2 });
  await written(two, join(root, "upper"), walkUppers(two));
  const one = new LayerStack([openTree(join(root, "upper"), false), base]);
  await written(two, join(root, "shown-by-two"), walkMerged(two));
  await written(one, join(root, "shown-by-one"), walkMerged(one));
  const [byTwo, byOne] = [
    snapshot(join(root, "shown-by-two"), { hardLinks: true }),
    snapshot(join(root, "shown-by-one"), { hardLinks: true }),
  ];
  expect([...byTwo.keys()]).toEqual(expect.arrayContaining(["again/new", "deep/place/y", "deep/place/more", "renamed/two", "hidden/w"]));
  expect(diffSnapshots(byTwo, byOne)).toEqual([]);
  const upper = snapshot(join(root, "upper"));
  expect(upper.has("deep/place/y")).toBe(false);
  expect(upper.has("gone")).toBe(true);
});

test("one upper layer made of two while the layer below lacks their names shows the same when it has them again", async () => {
  const root = scratch();
  const [newer, older, base, bare] = [
    open(root, "newer", NEWER),
    open(root, "older", OLDER),
    open(root, "base", { ...BASE, own: file("of another") }),
    open(root, "bare", {}),
  ] as const;
  const then = new LayerStack([newer, older, bare], { uppers: 2 });
  await written(then, join(root, "upper"), walkUppers(then));
  const changes = Array.from(walkUppers(then)).filter(({ kind, before }) => kind === "whiteout" && before !== undefined);
  expect(changes).toEqual([]);
  const two = new LayerStack([newer, older, base], { uppers: 2 });
  const one = new LayerStack([openTree(join(root, "upper"), false), base]);
  await written(two, join(root, "shown-by-two"), walkMerged(two));
  await written(one, join(root, "shown-by-one"), walkMerged(one));
  expect(snapshot(join(root, "upper")).has("whole/b")).toBe(false);
  expect(diffSnapshots(snapshot(join(root, "shown-by-two")), snapshot(join(root, "shown-by-one")))).toEqual([]);
});
