import { type CallContext, type EntryOut, Errno, type Filesystem, S } from "@sluice/vfs";
import { expect, test } from "vitest";
import { isHiding } from "./hidden-names.js";
import { PathWalk } from "./path-walk.js";
import { Request } from "../requests/request.js";

const request = (): Request => new Request([], Buffer.alloc(0));

/** A tree from paths; directories end with "/". Counts look-ups that were not forgotten. */
function treeOf(...paths: string[]): { filesystem: Filesystem; owed: () => number; lookups: string[] } {
  const ids = new Map<string, number>([["", 1]]);
  const kinds = new Map<number, number>();
  for (const path of paths) {
    const name = path.replace(/\/$/, "");
    ids.set(name, ids.size + 1);
    kinds.set(ids.size, path.endsWith("/") ? S.IFDIR : S.IFREG);
  }
  const pathOf = (id: number): string => [...ids].find(([, known]) => known === id)?.[0] ?? "?";
  const counts = new Map<number, number>();
  const lookups: string[] = [];
  const filesystem = {
    lookup(_call: CallContext, parent: number, name: string, out: EntryOut) {
      const path = parent === 1 ? name : `${pathOf(parent)}/${name}`;
      lookups.push(path);
      const id = ids.get(path);
      out.nodeId = id ?? 0;
      if (id === undefined) return Promise.resolve(0);
      counts.set(id, (counts.get(id) ?? 0) + 1);
      out.attr.mode = kinds.get(id) as number;
      return path.length % 2 === 0 ? Promise.resolve(0) : 0;
    },
    forget: (id: number, count: number) => void counts.set(id, (counts.get(id) ?? 0) - count),
  } as unknown as Filesystem;
  return { filesystem, lookups, owed: () => [...counts.values()].reduce((sum, count) => sum + Math.abs(count), 0) };
}

test("forgets every lookup once nobody uses the node", async () => {
  const { filesystem, owed } = treeOf("a/", "a/b/", "a/b/f");
  const walk = new PathWalk(filesystem);
  const call = request();
  const node = await walk.node(call, "/a/b/f", call.entry);
  expect(typeof node).toBe("object");
  if (typeof node === "object") node.letGo();
  expect(await walk.node(call, "/a/none", call.entry)).toBe(Errno.ENOENT);
  expect(await walk.node(call, "/none/f", call.entry)).toBe(Errno.ENOENT);
  walk.end();
  expect(owed()).toBe(0);
});

test("caches directories until they move, also below the moved one", async () => {
  const { filesystem, owed, lookups } = treeOf("a/", "a/b/", "a/b/f", "ab/");
  const walk = new PathWalk(filesystem);
  const call = request();
  const visit = async (path: string): Promise<void> => {
    const node = await walk.node(call, path, call.entry);
    if (typeof node === "object") node.letGo();
  };
  await visit("/a/b/f");
  await visit("/a/b/f");
  await visit("/ab");
  expect(lookups).toEqual(["a", "a/b", "a/b/f", "a/b/f", "ab"]);
  walk.moved("/a", "/c");
  expect(walk.directories.size).toBe(1);
  await visit("/a/b/f");
  expect(lookups.slice(5)).toEqual(["a", "a/b", "a/b/f"]);
  walk.end();
  expect(owed()).toBe(0);
});

test("refuses a name that was not UTF-8, and does not take it for another", async () => {
  const { filesystem } = treeOf("a/");
  const walk = new PathWalk(filesystem);
  const call = request();
  expect(await walk.node(call, "/a/x\ufffd", call.entry)).toBe(Errno.EILSEQ);
});

test("a hidden name leads to its node and moves with its directory", async () => {
  const { filesystem, owed } = treeOf("d/", "d/f");
  const walk = new PathWalk(filesystem);
  const call = request();
  const node = await walk.node(call, "/d/f", call.entry);
  if (typeof node !== "object") throw new Error("not found");
  walk.hidden.add("/d/.fuse_hidden0000000200000001", node);
  walk.moved("/d", "/e");
  const again = await walk.node(call, "/e/.fuse_hidden0000000200000001", call.entry);
  expect(again).toBe(node);
  node.letGo();
  expect(walk.hidden.remove("/e/.fuse_hidden0000000200000001")).toBe(true);
  walk.end();
  expect(owed()).toBe(0);
});

test("only libfuse's own names in the same directory are hidden names", () => {
  expect(isHiding("/d/f", "/d/.fuse_hidden0000000200000001")).toBe(true);
  expect(isHiding("/d/f", "/e/.fuse_hidden0000000200000001")).toBe(false);
  expect(isHiding("/d/f", "/d/.fuse_hidden")).toBe(false);
  expect(isHiding("/d/f", "/d/.fuse_hidden000000020000000g")).toBe(false);
});
