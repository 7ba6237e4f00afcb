/** Compares the table with the plainest model: the holders of each byte. */
import assert from "node:assert/strict";
import { seededRandom } from "@sluice/testkit/random";
import { Errno, LoopTurn, type Status } from "@sluice/vfs";
import { expect, test } from "vitest";
import { LockTable } from "./lock-table.js";

const BYTES = 24;
const OWNERS = [1n, 2n, 3n];

class Model {
  /** For each byte: "r" or "w" by owner. */
  readonly held: Map<bigint, "r" | "w">[] = Array.from({ length: BYTES }, () => new Map());

  blocked(owner: bigint, write: boolean, at: readonly [number, number]): boolean {
    return this.held.slice(at[0], at[1] + 1).some((byte) => [...byte].some(([other, how]) => other !== owner && (write || how === "w")));
  }
  set(owner: bigint, how: "r" | "w" | undefined, at: readonly [number, number]): void {
    for (const byte of this.held.slice(at[0], at[1] + 1)) {
      if (how === undefined) byte.delete(owner);
      else byte.set(owner, how);
    }
  }
}

/** One random step on both; the model's word is what must come out. Here and below, `assert` in loops: `expect` takes longer than a lock. */
function step(parts: { table: LockTable<object>; file: object; model: Model; next: (below: number) => number }): void {
  const { table, file, model, next } = parts;
  const owner = OWNERS[next(3)] as bigint;
  const first = next(BYTES);
  const at = [first, Math.min(BYTES - 1, first + next(8))] as const;
  const range = { owner, start: BigInt(at[0]), end: BigInt(at[1]) };
  const kind = next(4);
  if (kind === 0) {
    assert.equal(table.unlockRange(file, range), 0);
    return model.set(owner, undefined, at);
  }
  const write = kind === 1;
  const blocked = model.blocked(owner, write, at);
  const lock = { ...range, handle: Number(owner), pid: Number(owner), write };
  const inTheWay = table.inTheWay(file, lock);
  assert.ok(inTheWay === undefined || (inTheWay.start <= lock.end && inTheWay.end >= lock.start));
  assert.equal(inTheWay !== undefined, blocked);
  assert.equal(table.lockRange(file, lock, undefined), blocked ? Errno.EAGAIN : 0);
  if (!blocked) model.set(owner, write ? "w" : "r", at);
}

test("random ranges equal a model of single bytes, and nothing is left behind", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const parts = { table: new LockTable<object>(), file: {}, model: new Model(), next: seededRandom(seed).below };
    for (let i = 0; i < 200; i++) step(parts);
    // Some go by closing a descriptor, some with the open file.
    expect(parts.table.dropOwner(parts.file, 1n)).toBe(0);
    expect(parts.table.dropHandle(parts.file, 2)).toBe(0);
    expect(parts.table.dropHandle(parts.file, 3)).toBe(0);
    expect(parts.table.size).toBe(0);
  }
});

const all = { start: 0n, end: 99n, pid: 1 } as const;
const by = (owner: bigint, write: boolean) => ({ ...all, owner, handle: Number(owner), write });
const caller = () => {
  const abort = new AbortController();
  return { abort, signal: abort.signal };
};

/** Until the next round of the event loop, long work gives way after its first step, however fast the machine is. */
function othersWait(): void {
  void new LoopTurn().next();
}

const WAYS_TO_END: Readonly<Record<string, (table: LockTable<object>, file: object) => Status>> = {
  "a close by the process": (table, file) => table.dropOwner(file, 1n),
  "the last close of the open file": (table, file) => table.dropHandle(file, 1),
  "an unlock of the whole file": (table, file) => table.unlockRange(file, { owner: 1n, start: 0n, end: 1n << 62n }),
};

test.each(Object.keys(WAYS_TO_END))("%s that ends very many ranges gives way to others, and ends all of them", async (way) => {
  const table = new LockTable<object>();
  const file = {};
  const COUNT = 1_000;
  const one = (owner: bigint, at: number) => {
    return { owner, handle: Number(owner), pid: 1, write: true, start: BigInt(2 * at), end: BigInt(2 * at) };
  };
  for (let at = 0; at < COUNT; at++) assert.equal(table.lockRange(file, one(1n, at), undefined), 0);
  const last = Promise.resolve(table.lockRange(file, one(2n, COUNT - 1), caller()));
  othersWait();
  const ended = WAYS_TO_END[way]?.(table, file);
  expect(ended).toBeInstanceOf(Promise);
  expect(table.lockRange(file, one(2n, 0), undefined)).toBe(0);
  expect(table.lockRange(file, one(2n, COUNT - 2), undefined)).toBe(Errno.EAGAIN);
  expect(await ended).toBe(0);
  expect(await last).toBe(0);
  expect(table.lockRange(file, one(2n, COUNT - 2), undefined)).toBe(0);
  expect(table.dropOwner(file, 2n)).toBe(0);
  expect(table.size).toBe(0);
});

test("serves waiters in the order of arrival, readers together", async () => {
  const table = new LockTable<object>();
  const file = {};
  const order: string[] = [];
  const wait = (owner: bigint, write: boolean): void => {
    void Promise.resolve(table.lockRange(file, by(owner, write), caller())).then((errno) => order.push(`${owner}:${errno}`));
  };
  expect(table.lockRange(file, by(1n, true), undefined)).toBe(0);
  wait(2n, false);
  wait(3n, true);
  wait(4n, false);
  expect(table.dropOwner(file, 1n)).toBe(0);
  await Promise.resolve().then(() => undefined);
  expect(order).toEqual(["2:0", "4:0"]);
  expect(table.dropOwner(file, 2n)).toBe(0);
  expect(table.dropOwner(file, 4n)).toBe(0);
  await Promise.resolve().then(() => undefined);
  expect(order).toEqual(["2:0", "4:0", "3:0"]);
});

test("a wait that is interrupted leaves nothing, and a write lock that becomes a read lock lets readers in", async () => {
  const table = new LockTable<object>();
  const file = {};
  const { abort, signal } = caller();
  expect(table.lockRange(file, by(1n, true), undefined)).toBe(0);
  const waits = table.lockRange(file, by(2n, false), { signal });
  const reads = table.lockRange(file, by(3n, false), caller());
  abort.abort();
  expect(await waits).toBe(Errno.EINTR);
  expect(table.lockRange(file, by(2n, true), { signal })).toBe(Errno.EINTR);
  expect(table.lockRange(file, by(1n, false), undefined)).toBe(0);
  expect(await reads).toBe(0);
  expect(table.dropOwner(file, 1n)).toBe(0);
  expect(table.dropOwner(file, 3n)).toBe(0);
  expect(table.size).toBe(0);
});

test("a circle of waits is refused to the caller that would close it, also when it closes as a lock changes hands", async () => {
  const table = new LockTable<object>();
  const [f, g] = [{}, {}];
  expect(table.lockRange(f, by(1n, true), undefined)).toBe(0);
  expect(table.lockRange(g, by(2n, true), undefined)).toBe(0);
  const waits = table.lockRange(g, by(1n, true), caller());
  expect(table.lockRange(f, by(2n, true), caller())).toBe(Errno.EDEADLK);
  expect(table.dropOwner(g, 2n)).toBe(0);
  expect(await waits).toBe(0);
});

test("a circle that closes as a lock changes hands is refused to the one who waits for its new owner", async () => {
  const table = new LockTable<object>();
  const [f, g] = [{}, {}];
  expect(table.lockRange(f, by(1n, true), undefined)).toBe(0);
  expect(table.lockRange(g, by(3n, true), undefined)).toBe(0);
  const [first, second] = [2n, 3n].map((owner) => table.lockRange(f, by(owner, true), caller()));
  // Another thread of 2.
  const other = table.lockRange(g, by(2n, true), caller());
  expect(table.dropOwner(f, 1n)).toBe(0);
  expect(await first).toBe(0);
  expect(await second).toBe(Errno.EDEADLK);
  expect(table.dropOwner(g, 3n)).toBe(0);
  expect(await other).toBe(0);
});

test("very many who wait are woken in turns, and whoever lets go meanwhile is not forgotten", async () => {
  const table = new LockTable<object>();
  const file = {};
  const order: bigint[] = [];
  const waits: Promise<number>[] = [];
  const LAST = 2_000n;
  expect(table.lockRange(file, by(1n, true), undefined)).toBe(0);
  for (let owner = 2n; owner <= LAST; owner++) {
    const woken = Promise.resolve(table.lockRange(file, by(owner, owner === LAST), caller()));
    waits.push(woken.then((errno) => (order.push(owner), errno)));
  }
  othersWait();
  expect(table.dropOwner(file, 1n)).toBe(0);
  // The event loop goes round before the last of them has its lock.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  const readers = waits.splice(0, Number(LAST) - 2);
  expect(order.length).toBeGreaterThan(0);
  expect(order.length).toBeLessThan(readers.length);
  expect(table.lockRange(file, by(1n, true), undefined)).toBe(Errno.EAGAIN);
  expect(new Set(await Promise.all(readers))).toEqual(new Set([0]));
  expect(order).toEqual(order.toSorted((a, b) => Number(a - b)));
  for (let owner = 2n; owner < LAST; owner++) assert.equal(table.dropOwner(file, owner), 0);
  expect(await waits[0]).toBe(0);
  expect(table.dropOwner(file, LAST)).toBe(0);
  expect(table.size).toBe(0);
});

test.each([1, 16, 100])("%i readers that let go as soon as they are woken let the writer behind them in", async (readers) => {
  const table = new LockTable<object>();
  const file = {};
  expect(table.lockRange(file, by(1n, true), undefined)).toBe(0);
  for (let owner = 2n; owner < 2 + readers; owner++) {
    void Promise.resolve(table.lockRange(file, by(owner, false), caller())).then(() => table.dropOwner(file, owner));
  }
  const writer = Promise.resolve(table.lockRange(file, by(1_000n, true), caller()));
  othersWait();
  expect(table.dropOwner(file, 1n)).toBe(0);
  expect(await writer).toBe(0);
});

test("flock gives up what it has before it takes the other kind", async () => {
  const table = new LockTable<object>();
  const file = {};
  const whole = (owner: bigint, write: boolean) => ({ owner, handle: Number(owner), write });
  expect(table.lockWhole(file, whole(1n, false), undefined)).toBe(0);
  expect(table.lockWhole(file, whole(2n, false), undefined)).toBe(0);
  const waits = table.lockWhole(file, whole(3n, true), caller());
  expect(table.lockWhole(file, whole(1n, true), undefined)).toBe(Errno.EAGAIN);
  // 1 has none now: 2 alone is in the way of 3.
  table.unlockWhole(file, 2n);
  expect(await waits).toBe(0);
  expect(table.dropHandle(file, 3)).toBe(0);
  expect(table.size).toBe(0);
});

test("a process of very many ranges and very many processes on one file hold what they took", async () => {
  const table = new LockTable<object>();
  const file = {};
  const at = (owner: bigint, start: bigint, write = true) => ({ ...by(owner, write), start, end: start });
  for (let i = 0n; i < 3_000n; i++) {
    assert.equal(table.lockRange(file, at(1n, i * 4n), undefined), 0);
    assert.equal(table.lockRange(file, at(2n + i, i * 4n + 2n, i % 2n === 0n), undefined), 0);
  }
  for (let i = 0n; i < 3_000n; i++) {
    assert.equal(table.inTheWay(file, at(9_999n, i * 4n))?.owner, 1n);
    assert.equal(table.inTheWay(file, at(9_999n, i * 4n + 1n)), undefined);
    assert.equal(table.lockRange(file, at(9_999n, i * 4n + 2n, false), undefined), i % 2n === 0n ? Errno.EAGAIN : 0);
  }
  // Of all that are in the way, the first who came.
  expect(table.inTheWay(file, by(9_999n, true))?.owner).toBe(1n);
  expect(await table.dropOwner(file, 1n)).toBe(0);
  expect(table.lockRange(file, at(9_999n, 400n), undefined)).toBe(0);
  expect(table.inTheWay(file, at(5n, 400n))?.owner).toBe(9_999n);
  for (let i = 0n; i < 3_000n; i++) assert.equal(await table.dropHandle(file, Number(2n + i)), 0);
  expect(await table.unlockRange(file, { owner: 9_999n, start: 0n, end: 1n << 62n })).toBe(0);
  expect(table.size).toBe(0);
});
