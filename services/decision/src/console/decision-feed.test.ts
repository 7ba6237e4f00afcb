import { type EnforcedDecisions, plainQuestion } from "@sluice/decision-api";
import { expect, test, vi } from "vitest";
import { openDecisionLog } from "../audit/decision-log.js";
import { type Batch, DecisionFeed, decisionsIn } from "./decision-feed.js";

const REVISION = { sequence: 1n, digest: "a".repeat(64) };
const made = {
  effect: "grant",
  errno: 0,
  decisionId: "d",
  policyId: "p",
  rule: "default",
  revision: REVISION,
  reason: "",
  obligations: [],
  source: "service",
} as const;
const enforced: EnforcedDecisions = {
  effect: "deny",
  errno: 13,
  rule: "keys",
  reason: "",
  decisionId: "d",
  source: "cache",
  operation: "open",
  accesses: ["read"],
  path: "secret",
  uid: 1,
  pid: 2,
  program: "/bin/c\xc3\xa4t",
  count: 5,
  sinceMs: 0,
};

function feedAndLog(): { feed: DecisionFeed; record(path: string, program?: string): void } {
  const feed = new DecisionFeed();
  const log = feed.beside(openDecisionLog("off", {}));
  return { feed, record: (path, program) => log.record({ ...plainQuestion(path), program }, made, 0n) };
}

test("a flood of grants hides no denial, and the watcher learns how many decisions it is not shown", () => {
  vi.useFakeTimers();
  try {
    const { feed, record } = feedAndLog();
    const batches: Batch[] = [];
    feed.watch((batch) => batches.push(batch));
    feed.enforced("m", { decisions: [enforced], unnamed: [{ effect: "deny", rule: "keys", count: 100 }], missed: 30 });
    for (let number = 0; number < 1_000; number++) record(`f${number}`);
    vi.advanceTimersByTime(300);
    const [, batch] = batches as [Batch, Batch];
    expect(batch.decisions.find(({ path }) => path === "secret")).toMatchObject({ program: "/bin/cät", pid: 2, count: 5, mount: "m" });
    expect(batch.decisions.filter(({ path }) => path === null)).toMatchObject([{ rule: "keys", count: 100, program: null, uid: null }]);
    expect(decisionsIn(batch)).toBe(1_000 + 5 + 100 + 30);
    expect(batch.missed).toBe(800 + 30);
  } finally {
    vi.useRealTimers();
  }
});

test("no watcher is shown a decision twice, and all get each once", () => {
  vi.useFakeTimers();
  try {
    const { feed, record } = feedAndLog();
    const seen: string[][] = [[], []];
    const watch = (watcher: string[]): unknown => feed.watch(({ decisions }) => watcher.push(...decisions.map(({ path }) => String(path))));
    record("before");
    watch(seen[0] as string[]);
    record("between", "/bin/p");
    watch(seen[1] as string[]);
    record("after");
    vi.advanceTimersByTime(300);
    expect(seen).toEqual([
      ["before", "between", "after"],
      ["before", "between", "after"],
    ]);
  } finally {
    vi.useRealTimers();
  }
});
