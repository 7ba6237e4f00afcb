import { expect, test } from "vitest";
import type { Holder } from "./holders.js";
import { type ClosedOpen, LeftMappings } from "./left-mappings.js";

const holder = (ino: bigint, by: Holder["by"]): Holder => ({ pid: 1, uid: 0, gid: 0, ino, by, writes: false, path: undefined });
const open = (nodeId: number, uid: number): ClosedOpen => ({ nodeId, accesses: ["read"], caller: { pid: 1, uid, gid: 0 } });

test("remembers the opens of files that somebody has mapped, one for each user, and forgets all others", async () => {
  let holders = [holder(1n, "mapping"), holder(2n, "descriptor")];
  const asked: bigint[][] = [];
  const left = new LeftMappings((inos) => {
    asked.push([...inos]);
    return Promise.resolve(holders);
  });
  for (const ino of [1n, 2n, 3n]) left.closed(ino, open(Number(ino), 12));
  left.closed(1n, open(9, 12));
  left.closed(1n, open(1, 13));
  expect(await left.find()).toEqual([
    { ...open(9, 12), ino: 1n },
    { ...open(1, 13), ino: 1n },
  ]);
  holders = [];
  expect(await left.find()).toEqual([]);
  expect(await left.find()).toEqual([]);
  expect(asked).toEqual([[1n, 2n, 3n], [1n]]);
});

test("forgets nothing if the search fails, nor an open that is closed during a search", async () => {
  let fails = true;
  const left = new LeftMappings(() => {
    if (fails) return Promise.reject(new Error("no /proc"));
    left.closed(2n, open(2, 12));
    return Promise.resolve([]);
  });
  left.closed(1n, open(1, 12));
  await expect(left.find()).rejects.toThrow("no /proc");
  fails = false;
  expect(await left.find()).toEqual([]);
  fails = true;
  await expect(left.find()).rejects.toThrow("no /proc");
});
