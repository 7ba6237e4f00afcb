/**
 * The cache is sound: an answer from it is the policy's answer to that very question at that revision. And the test can
 * fail: it finds a scope that is one field, one fact or one directory too wide. SLUICE_SEED draws the same policies and questions again.
 */
import { type CacheScope, type Decision, inquiryOf, type Question } from "@sluice/decision-api";
import { DecisionCache } from "@sluice/decision-client";
import { loadPolicy, type Policy, type Ruling } from "@sluice/policy-backends";
import { soakBudgetMs } from "@sluice/testkit";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { KNOWN_DIGESTS, policies, questions } from "./harness/random-policies.js";

type Widen = (scope: CacheScope, question: Question) => CacheScope;

const NAMED = new Map([["known.sha256", Buffer.from(KNOWN_DIGESTS)]]);
/** The planted faults are found by these questions. */
const SEED = 20_250_807;
/** Each takes some milliseconds. */
const RUNS = soakBudgetMs(0) > 0 ? 20_000 : 250;
const LIMIT_MS = 600_000;
/** The largest number of cases for the faults. */
const FAULT_RUNS = 3_000;

function asDecision(question: Question, ruling: Ruling, policy: Policy, widen: Widen): Decision {
  const { scope } = ruling;
  return {
    ...ruling,
    decisionId: "d",
    policyId: policy.id,
    revision: policy.revision,
    source: "service",
    scope: scope && widen(scope, question),
  };
}

type Answer = Pick<Ruling, "effect" | "errno" | "rule" | "obligations" | "reason">;
const whatHolds = ({ effect, errno, rule, obligations, reason }: Answer): unknown => ({ effect, errno, rule, obligations, reason });

interface Counts {
  hits: number;
  subtrees: number;
  excepting: number;
}

interface Judged {
  policy: Policy;
  /** The ruling on each question. */
  rulings: readonly Ruling[];
}

function judge(text: string, asked: readonly Question[]): Judged {
  const { policy } = loadPolicy(Buffer.from(text), "p", "p", NAMED);
  return { policy, rulings: asked.map((question) => policy.evaluate(question) as Ruling) };
}

/** The first question that the cache answers differently from the policy. */
function firstWrong({ policy, rulings }: Judged, asked: readonly Question[], widen: Widen, counts?: Counts): unknown {
  const cache = new DecisionCache({ entries: 1000, bytes: 1e6 });
  cache.begin(policy.revision);
  for (const [index, question] of asked.entries()) {
    const now = rulings[index] as Ruling;
    const cached = cache.recall(inquiryOf(question), false);
    if (cached === undefined) {
      if (now.scope?.subtree !== undefined && counts !== undefined) counts.subtrees++;
      if (now.scope !== undefined && now.scope.except.length > 0 && counts !== undefined) counts.excepting++;
      cache.store(question, asDecision(question, now, policy, widen), { atMs: performance.now(), epoch: cache.epoch });
      continue;
    }
    if (counts !== undefined) counts.hits++;
    if (JSON.stringify(whatHolds(cached)) !== JSON.stringify(whatHolds(now))) return { question, cached, now };
  }
  return undefined;
}

const sequences = fc.array(questions, { minLength: 30, maxLength: 60 });
const asItIs: Widen = (scope) => scope;

test("a cached answer is the policy's current answer", { timeout: LIMIT_MS }, () => {
  const counts: Counts = { hits: 0, subtrees: 0, excepting: 0 };
  fc.assert(
    fc.property(policies, sequences, (text, asked) => {
      expect(firstWrong(judge(text, asked), asked, asItIs, counts)).toBeUndefined();
    }),
    { seed: chooseSeed(), numRuns: RUNS },
  );
  // Chance must have met the cache, or the test proves nothing.
  expect(counts.hits).toBeGreaterThan(RUNS);
  expect(counts.subtrees).toBeGreaterThan(RUNS / 4);
  expect(counts.excepting).toBeGreaterThan(RUNS / 4);
});

const without = <Name>(names: readonly Name[], name: Name): readonly Name[] => names.filter((other) => other !== name);

const parentOf = (path: string): string => (path.includes("/") ? path.replace(/\/[^/]*$/, "") : "");

const FAULTS: Record<string, Widen> = {
  ...Object.fromEntries(
    (["uid", "gid", "groups", "executable", "cgroup"] as const).map((name): [string, Widen] => [
      `subject.${name} is forgotten`,
      (scope) => ({ ...scope, subject: without(scope.subject, name) }),
    ]),
  ),
  ...Object.fromEntries(
    (["layer", "kind", "size", "mode", "owner", "content", "digest"] as const).map((name): [string, Widen] => [
      `resource.${name} is forgotten`,
      (scope) => ({ ...scope, resource: without(scope.resource, name) }),
    ]),
  ),
  ...Object.fromEntries(
    ["user.class", "tag"].map((name): [string, Widen] => [
      `xattr ${name} is forgotten`,
      (scope) => ({ ...scope, xattrs: without(scope.xattrs, name) }),
    ]),
  ),
  "a path is taken for its directory": (scope, { resource }) =>
    scope.subtree === undefined && resource.paths.length === 1 ? { ...scope, subtree: parentOf(resource.paths[0] as string) } : scope,
  "the first excepted glob is forgotten": (scope) => ({ ...scope, except: scope.except.slice(1) }),
  "the last excepted glob is forgotten": (scope) => ({ ...scope, except: scope.except.slice(0, -1) }),
  "a subtree begins one directory too high": (scope) =>
    scope.subtree === undefined || scope.subtree === "" ? scope : { ...scope, subtree: parentOf(scope.subtree) },
};

describe("a planted fault is found", () => {
  const found = new Set<string>();

  // All faults by the same questions: to draw these and to judge them takes longer than to ask the cache.
  beforeAll(() => {
    fc.check(
      fc.property(policies, sequences, (text, asked) => {
        const judged = judge(text, asked);
        for (const [name, widen] of Object.entries(FAULTS))
          if (!found.has(name) && firstWrong(judged, asked, widen) !== undefined) found.add(name);
        return found.size < Object.keys(FAULTS).length;
      }),
      { seed: SEED, numRuns: FAULT_RUNS, endOnFailure: true },
    );
  }, LIMIT_MS);

  test.each(Object.keys(FAULTS))("%s", (name) => {
    expect(found).toContain(name);
  });
});
