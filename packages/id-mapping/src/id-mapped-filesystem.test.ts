import { Attr, type CallContext, type EntryOut, Errno, type Filesystem, type SetAttr } from "@sluice/vfs";
import { expect, test } from "vitest";
import { IdMap, OVERFLOW_ID } from "./id-map.js";
import { IdMappedFilesystem } from "./id-mapped-filesystem.js";

const mapping = {
  uids: new IdMap([{ layer: 0, shown: 100_000, count: 10 }], undefined),
  gids: new IdMap([{ layer: 0, shown: 200_000, count: 10 }], undefined),
};

interface Seen {
  uid: number;
  gid: number;
  groups: readonly number[] | undefined;
  asker: number | undefined;
}

function seenOf(call: CallContext): Seen {
  return { uid: call.uid, gid: call.gid, groups: call.groups, asker: call.asker?.uid };
}

/** Answers with owner 3:4, at once or later, and remembers who asked. */
class Inner {
  seen: Seen[] = [];
  set: SetAttr | undefined;
  later = false;

  #answer(call: CallContext, attr: Attr): number | Promise<number> {
    this.seen.push(seenOf(call));
    attr.words[17] = 3;
    attr.words[18] = 4;
    return this.later ? Promise.resolve(0) : 0;
  }
  lookup(call: CallContext, _parent: number, _name: string, out: EntryOut): number | Promise<number> {
    return this.#answer(call, out.attr);
  }
  mkdir(call: CallContext, _at: unknown, _args: unknown, out: EntryOut): number | Promise<number> {
    return this.#answer(call, out.attr);
  }
  setattr(call: CallContext, _node: number, set: SetAttr, out: { attr: Attr }): number | Promise<number> {
    this.set = set;
    return this.#answer(call, out.attr);
  }
}

function caller(uid: number, gid: number, groups?: number[]): CallContext {
  return { uid, gid, pid: 1, groups, signal: new AbortController().signal };
}
function entry(): EntryOut {
  return { nodeId: 0, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attr: new Attr() };
}
function mapped(): { inner: Inner; filesystem: Filesystem } {
  const inner = new Inner();
  return { inner, filesystem: new IdMappedFilesystem(inner as unknown as Filesystem, mapping) };
}
const unset = { mode: undefined, size: undefined, atime: undefined, mtime: undefined, handle: undefined, killSuidgid: false };
const AT = { parent: 1, name: "d" };
const NEW = { mode: 0o755, umask: 0, rdev: 0 };

test.each([false, true])("attributes are shown mapped (later: %s)", async (later) => {
  const { inner, filesystem } = mapped();
  inner.later = later;
  const out = entry();
  expect(await filesystem.lookup(caller(0, 0), 1, "a", out)).toBe(0);
  expect([out.attr.uid, out.attr.gid]).toEqual([100_003, 200_004]);
});

test("gives new objects to the caller's ids on the layer, and shows the caller to a policy", async () => {
  const { inner, filesystem } = mapped();
  expect(await filesystem.mkdir(caller(100_001, 200_002, [200_003, 5]), AT, NEW, entry())).toBe(0);
  expect(inner.seen).toEqual([{ uid: 1, gid: 2, groups: [3], asker: 100_001 }]);
});

test("gives the objects of a caller without an id on the layers to nobody", async () => {
  const { inner, filesystem } = mapped();
  expect(await filesystem.mkdir(caller(0, 0), AT, NEW, entry())).toBe(0);
  expect(inner.seen).toMatchObject([{ uid: OVERFLOW_ID, gid: OVERFLOW_ID, asker: 0 }]);
});

test("chown takes shown ids, and refuses those that the layers cannot hold", async () => {
  const { inner, filesystem } = mapped();
  const out = { attrTtlMs: 0, attr: new Attr() };
  expect(await filesystem.setattr(caller(0, 0), 1, { ...unset, uid: 100_009, gid: undefined }, out)).toBe(0);
  expect([inner.set?.uid, inner.set?.gid]).toEqual([9, undefined]);
  expect(await filesystem.setattr(caller(0, 0), 1, { ...unset, uid: 100_009, gid: 7 }, out)).toBe(Errno.EOVERFLOW);
});

test("keeps a caller's privilege for changes, and compares with the layer's group", async () => {
  const { inner, filesystem } = mapped();
  const out = { attrTtlMs: 0, attr: new Attr() };
  await filesystem.setattr(caller(0, 200_004), 1, { ...unset, uid: undefined, gid: undefined }, out);
  expect(inner.seen).toMatchObject([{ uid: 0, gid: 4 }]);
});
