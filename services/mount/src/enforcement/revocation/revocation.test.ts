import type { Decision } from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import { decisionOf } from "@sluice/testkit";
import { Attr } from "@sluice/vfs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Grants } from "../grants.js";
import { Revocation, type RevocationParts } from "./revocation.js";

const MINUTE_MS = 60_000;
const caller = { pid: 1, uid: 1000, gid: 100 };
const NOBODY = decisionOf("deny", { source: "outage", policyId: "on-outage", rule: "deny" });
const REFUSED = decisionOf("deny", { source: "outage", policyId: "on-outage", rule: "refused" });
const EMFILE = 24;
const intent: Intent = {
  operation: "open",
  accesses: ["read"],
  paths: ["f"],
  layer: "lower0",
  attr: new Attr(),
  openFlags: 0,
  readXattr: () => undefined,
  content: undefined,
};

interface Stage {
  /** As the decision service tells of an edit. */
  edit(): void;
  /** The file on `handle` is closed. */
  close(handle: number): void;
  /** The changes in order: the errno that a handle gets, or undefined if its access is given back. */
  withheld: [handle: number, errno: number | undefined][];
  asked: number;
}

/** Two open files. `answer` decides each question; it may throw. */
function stage(answer: () => Decision | "EMFILE", more: Partial<RevocationParts> = {}): Stage {
  const grants = new Grants();
  const record = { nodeId: 3, path: "f", layer: "lower0", mode: "mediated", io: "cached", write: false, fallback: undefined } as const;
  for (const handle of [1, 2]) grants.opened(caller, undefined, { ...record, handle });
  let edit = (): void => undefined;
  const on: Stage = { edit: () => edit(), close: (handle) => grants.closed(handle), withheld: [], asked: 0 };
  const review = async (): ReturnType<RevocationParts["gate"]["review"]> => {
    on.asked++;
    const decision = answer();
    if (decision === "EMFILE") return { effect: "deny", errno: EMFILE, decision: undefined, byMachine: true };
    return { effect: decision.effect === "ask" ? "deny" : decision.effect, errno: decision.errno, decision };
  };
  new Revocation({
    decider: { onPolicyChange: (listener) => ((edit = () => listener(undefined as never)), () => undefined) },
    gate: { review, reviewAtOnce: review, renew: () => false },
    grants,
    overlay: {
      review: (handle) => {
        const withheld = on.withheld.findLast(([of]) => of === handle)?.[1] !== undefined;
        return grants.get(handle) && { intent, ino: 5n, withheld, shortfall: () => undefined };
      },
      reviewClosed: () => undefined,
      ruledAgain: () => undefined,
      withhold: async (handle, errno) => void on.withheld.push([handle, errno]),
      passing: () => undefined,
    },
    onRevoke: "report",
    holders: { find: () => Promise.resolve([]), signal: () => Promise.resolve(0) },
    events: { revoked: () => undefined, signalled: () => undefined, failed: () => undefined },
    ...more,
  });
  return on;
}

const STEP_MS = 1_000;

/** On a busy machine a review waits for further turns of the event loop, which no fake timer brings. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left >= 0; left -= STEP_MS) {
    await vi.advanceTimersByTimeAsync(Math.min(left, STEP_MS));
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => void setImmediate(resolve));
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

test("an open that nobody could decide after an edit is judged again until somebody can", async () => {
  let decision = NOBODY;
  const on = stage(() => decision);
  on.edit();
  await pass(MINUTE_MS);
  expect(on.withheld).toEqual([]);
  decision = decisionOf("deny", { errno: 1 });
  await pass(MINUTE_MS);
  expect(on.withheld).toEqual([
    [1, 1],
    [2, 1],
  ]);
  const { asked } = on;
  await pass(10 * MINUTE_MS);
  expect(on.asked).toBe(asked);
});

test("the pause before an open is judged again grows up to a minute, and ends with the open", async () => {
  const on = stage(() => NOBODY);
  on.edit();
  await pass(MINUTE_MS);
  const first = on.asked;
  await pass(MINUTE_MS * 60);
  expect(first).toBeGreaterThan(4);
  // Two opens, once a minute each, and the rest of shorter pauses.
  expect(on.asked - first).toBeLessThanOrEqual(2 * 65);
  on.close(1);
  on.close(2);
  const { asked } = on;
  await pass(MINUTE_MS * 60);
  expect(on.asked).toBe(asked);
});

test("an open whose question is refused is withheld as a new one would be denied, until it can be judged", async () => {
  let decision = REFUSED;
  const on = stage(() => decision);
  on.edit();
  await pass(0);
  expect(on.withheld.map(([handle]) => handle)).toEqual([1, 2]);
  decision = decisionOf("mediate");
  await pass(MINUTE_MS);
  expect(on.withheld.slice(2)).toEqual([
    [1, undefined],
    [2, undefined],
  ]);
});

test("open files are judged again after a failure", async () => {
  let fails = true;
  const on = stage(() => {
    if (fails) throw new Error("a bug");
    return decisionOf("deny");
  });
  on.edit();
  await pass(0);
  fails = false;
  await pass(MINUTE_MS);
  expect(on.withheld.map(([handle]) => handle)).toEqual([1, 2]);
});

const holder = { pid: 9, uid: 1001, gid: 100, ino: 5n, by: "descriptor", writes: false, path: undefined } as const;

/** Both files pass through, and the holder has them open. */
function passingStage(answer: Parameters<typeof stage>[0], signalled: number[]): Stage {
  return stage(answer, {
    onRevoke: "sigkill",
    holders: { find: () => Promise.resolve([holder]), signal: ({ pid }) => Promise.resolve(signalled.push(pid) && 0) },
    overlay: {
      review: () => ({ intent, ino: 5n, withheld: true, shortfall: () => undefined }),
      reviewClosed: () => undefined,
      ruledAgain: () => undefined,
      withhold: () => Promise.resolve(),
      passing: () => "passthrough",
    },
  });
}

test("a holder of a revoked open whom nobody could judge is signalled once somebody can", async () => {
  let outage = true;
  let asked = 0;
  const signalled: number[] = [];
  const on = passingStage(() => (asked++ >= 2 && outage ? NOBODY : decisionOf("deny")), signalled);
  on.edit();
  await pass(MINUTE_MS);
  expect(signalled).toEqual([]);
  outage = false;
  await pass(2 * MINUTE_MS);
  expect(signalled).toEqual([9]);
});

test.each([
  ["signalled", "denies it", decisionOf("deny"), [9]],
  ["spared", "allows it", decisionOf("grant"), []],
] as const)("a holder is %s once the policy %s, and not while the machine fails to read a fact", async (_, __, decision, expected) => {
  let fails = true;
  const signalled: number[] = [];
  const on = passingStage(() => (fails ? "EMFILE" : decision), signalled);
  on.edit();
  await pass(MINUTE_MS);
  expect(signalled).toEqual([]);
  fails = false;
  await pass(2 * MINUTE_MS);
  expect(signalled).toEqual(expected);
});

test("an open that cannot be judged for want of a descriptor is refused with that errno until it can", async () => {
  let fails = true;
  const on = stage(() => (fails ? "EMFILE" : decisionOf("mediate")));
  on.edit();
  await pass(0);
  fails = false;
  await pass(MINUTE_MS);
  expect(on.withheld).toEqual([
    [1, EMFILE],
    [2, EMFILE],
    [1, undefined],
    [2, undefined],
  ]);
});
