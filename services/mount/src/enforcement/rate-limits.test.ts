import { setTimeout as sleep } from "node:timers/promises";
import type { OpenRecord } from "@sluice/overlay";
import { type CallContext, Cancellation, Errno } from "@sluice/vfs";
import { expect, test } from "vitest";
import { type HandleRuling, ObligedIo, type IoWatchParts } from "./io-watch.js";
import { type Decision, type IoTerms, NO_TERMS } from "@sluice/decision-api";
import { RateLimits } from "./rate-limits.js";

test("grants one second's worth at once, and queues later transfers behind earlier ones", () => {
  let now = 0;
  const limits = new RateLimits({ now: () => now });
  limits.join("a", 1000);
  expect(limits.take("a", 1000)).toBe(0);
  expect(limits.take("a", 500)).toBe(500);
  expect(limits.take("a", 500)).toBe(1000);
  now = 1000;
  expect(limits.take("a", 1)).toBe(1);
  limits.giveBack("a", 1);
  now = 60_000;
  // It holds no more than a second's worth, however long nobody came.
  expect(limits.take("a", 1000)).toBe(0);
  expect(limits.take("a", 1)).toBe(1);
});

test("after a take-over no rate has more than it got since, however often files are opened again", () => {
  let now = 5_000;
  const limits = new RateLimits({ now: () => now, beginsSpent: true });
  limits.join("a", 1000);
  expect(limits.take("a", 100)).toBe(100);
  limits.leave("a", true);
  now = 5_200;
  limits.join("a", 1000);
  expect(limits.take("a", 200)).toBe(0);
  expect(limits.take("a", 100)).toBe(100);
  now = 60_000;
  limits.join("b", 1000);
  expect(limits.take("b", 1000)).toBe(0);
  expect(limits.take("b", 100)).toBe(100);
});

test("a rate lasts as long as somebody shares it, the newest holds, and others are their own", () => {
  let now = 0;
  const limits = new RateLimits({ now: () => now });
  limits.join("a", 10);
  limits.join("a", 1000);
  limits.join("b", 10);
  expect(limits.take("a", 10)).toBe(0);
  expect(limits.take("a", 100)).toBe(100);
  limits.leave("a", true);
  expect(limits.take("b", 10)).toBe(0);
  now = 1;
  limits.leave("a", true);
  limits.leave("b", true);
  expect(limits.size).toBe(0);
  expect(limits.take("a", 1_000_000)).toBe(0);
});

test("a bucket without opens keeps its rest until it is full again", () => {
  let now = 0;
  const limits = new RateLimits({ now: () => now });
  for (let turn = 0; turn < 3; turn++) {
    limits.join("a", 1000);
    expect(limits.take("a", 1000)).toBe(turn * 1000);
    limits.leave("a", false);
  }
  expect(limits.size).toBe(1);
  now = 2_900;
  limits.join("b", 10);
  limits.leave("b", false);
  // Two seconds' worth was owed, and a full one is another second.
  expect(limits.size).toBe(2);
  now = 4_000;
  limits.join("b", 10);
  expect(limits.size).toBe(1);
  limits.join("a", 1000);
  expect(limits.take("a", 1000)).toBe(0);
});

const DECISION = { rule: "r", decisionId: "d" } as Decision;

const REFUSED = { allowed: false, errno: Errno.EACCES } as const;

function watched(
  terms: Partial<IoTerms>,
  {
    limits = new RateLimits(),
    rule = "r",
    nowMs = () => performance.now(),
    askAgain = () => REFUSED,
  }: { limits?: RateLimits; rule?: string } & Partial<Pick<IoWatchParts, "nowMs" | "askAgain">> = {},
): ObligedIo {
  return new ObligedIo({
    opened: { handle: 1, path: "f" } as OpenRecord,
    uid: 0,
    ruling: { allowed: true, decision: { ...DECISION, rule }, terms: { ...NO_TERMS, ...terms } },
    limits,
    nowMs,
    askAgain,
    audited: () => undefined,
  });
}

function caller(): { call: CallContext; end: Cancellation } {
  const end = new Cancellation();
  return { call: { pid: 1, uid: 0, gid: 0, groups: undefined, signal: end }, end };
}

test("a transfer waits for longer than one timer can run", async () => {
  const watch = watched({ writeBytesPerSecond: 1 });
  const { call, end } = caller();
  let given: number | undefined;
  const waits = Promise.resolve(watch.before({ kind: "allocate", offset: 0n, length: 2 ** 32 }, call)).then((length) => (given = length));
  // A timer that is set too far ahead fires before this one.
  await sleep(50);
  expect(given).toBeUndefined();
  end.abort();
  expect(await waits).toBe(-Errno.EINTR);
});

test("a file whose rates come from several rules takes from the rate of each, which other opens under that rule share", async () => {
  const limits = new RateLimits({ now: () => 0 });
  const watch = (rule: string, terms: Partial<IoTerms>): ObligedIo => watched(terms, { limits, rule });
  const both = watch("r", {
    ratesByRule: [
      { rule: "r", readBytesPerSecond: 1000, writeBytesPerSecond: undefined, rateShare: "subject" },
      { rule: "w", readBytesPerSecond: 2000, writeBytesPerSecond: 1000, rateShare: "rule" },
    ],
  });
  const reader = watch("r", { readBytesPerSecond: 1000 });
  const writer = watch("w", { writeBytesPerSecond: 1000, rateShare: "rule" });
  const { call, end } = caller();
  const transfer = (by: ObligedIo, kind: "read" | "write", length: number): number | Promise<number> =>
    by.before({ kind, offset: 0n, length }, call);
  expect(transfer(both, "read", 600)).toBe(600);
  expect(transfer(reader, "read", 400)).toBe(400);
  expect(transfer(both, "write", 999)).toBe(999);
  const waits = [transfer(both, "read", 1), transfer(reader, "read", 1), transfer(writer, "write", 2)];
  expect(waits.map((each) => each instanceof Promise)).toEqual([true, true, true]);
  end.abort();
  expect(await Promise.all(waits.map((each) => Promise.resolve(each)))).toEqual(waits.map(() => -Errno.EINTR));
  // The interrupted ones gave back all that they took.
  expect(limits.take("write rule w", 1)).toBe(0);
  for (const each of [both, reader, writer]) each.close();
});

test("space behind the largest size may be given back, but not reserved", () => {
  const watch = watched({ maxSizeBytes: 16 });
  const { call } = caller();
  expect(watch.before({ kind: "allocate", offset: 4096n, length: 0, givesBack: true }, call)).toBe(0);
  expect(watch.before({ kind: "allocate", offset: 4096n, length: 1 }, call)).toBe(-Errno.EFBIG);
  expect(watch.maxSizeBytes).toBe(16);
});

test("an open expires by the clock that it was given, whatever the machine did meanwhile", async () => {
  const { call } = caller();
  let nowMs = 1_000;
  const watch = watched({ expiresAfterMs: 60_000 }, { nowMs: () => nowMs });
  const read = { kind: "read", offset: 0n, length: 10 } as const;
  nowMs += 59_999;
  expect(watch.before(read, call)).toBe(10);
  nowMs += 1;
  expect(await watch.before(read, call)).toBe(-Errno.EACCES);
});

test("an open that expires while a transfer waits for its rate is judged again before the transfer", async () => {
  const { call } = caller();
  const read = { kind: "read", offset: 0n, length: 1000 } as const;
  const terms = { readBytesPerSecond: 10_000, expiresAfterMs: 50 };
  const readLate = (askAgain: () => HandleRuling): Promise<number> => {
    const limits = new RateLimits();
    const watch = watched(terms, { limits, askAgain });
    // The next read waits for a tenth of a second.
    limits.take("read uid 0 rule r", 10_000);
    return Promise.resolve(watch.before(read, call));
  };
  const allowed: HandleRuling = { allowed: true, decision: DECISION, terms: { ...NO_TERMS, readBytesPerSecond: 10_000 } };
  expect(await readLate(() => REFUSED)).toBe(-Errno.EACCES);
  expect(await readLate(() => allowed)).toBe(1000);
});

test("a transfer waits on if another one, whose question it waits for, is interrupted", async () => {
  const [first, second] = [caller(), caller()];
  const answers: ((ruling: HandleRuling) => void)[] = [];
  const askAgain = ({ signal }: CallContext): Promise<HandleRuling> =>
    new Promise((resolve, reject) => {
      answers.push(resolve);
      signal.addEventListener("abort", () => reject(new Error("interrupted")), { once: true });
    });
  const watch = watched({ expiresAfterMs: 1 }, { askAgain });
  await sleep(5);
  const reads = [first, second].map(({ call }) => watch.before({ kind: "read", offset: 0n, length: 1 }, call));
  first.end.abort();
  expect(await reads[0]).toBe(-Errno.EINTR);
  answers.at(-1)?.({ allowed: true, decision: DECISION, terms: NO_TERMS });
  expect(answers).toHaveLength(2);
  expect(await reads[1]).toBe(1);
});
