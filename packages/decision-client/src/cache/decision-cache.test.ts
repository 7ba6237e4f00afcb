/** The cache by itself: answers that are found again, and paths that a scope excepts. */
import { type CacheScope, type Decision, inquiryOf, NO_SUBTREE, plainQuestion, type Question } from "@sluice/decision-api";
import { expect, it } from "vitest";
import { DecisionCache } from "./decision-cache.js";

const REVISION = { sequence: 1n, digest: "ab".repeat(32) };
const EVERYWHERE: CacheScope = { subtree: "", except: [], subject: [], resource: [], xattrs: [], accesses: ["read"], ttlMs: undefined };

const decisionOf = (scope: Partial<CacheScope>): Decision => ({
  effect: "grant",
  errno: 0,
  decisionId: "d",
  policyId: "p",
  rule: "r",
  revision: REVISION,
  reason: "",
  obligations: [],
  source: "service",
  scope: { ...EVERYWHERE, ...scope },
});

function asked(path: string, subject: Partial<Question["subject"]> = {}, change: Partial<Question> = {}): Question {
  const question = plainQuestion(path);
  return { ...question, subject: { ...question.subject, ...subject }, ...change };
}

function cacheWith(limits: { entries: number }, ...stored: readonly [Question, Partial<CacheScope>][]) {
  const cache = new DecisionCache({ bytes: 1e6, ...limits });
  cache.begin(REVISION);
  const store = (question: Question, scope: Partial<CacheScope>): boolean =>
    cache.store(question, decisionOf(scope), { atMs: performance.now(), epoch: cache.epoch });
  for (const [question, scope] of stored) store(question, scope);
  return { cache, store, has: (question: Question): boolean => cache.recall(inquiryOf(question), false) !== undefined };
}

it("gives an answer again only to the user, the group and the accesses that it was for", () => {
  const { has } = cacheWith({ entries: 10 }, [asked("a", { uid: 1, gid: 5 }), { ...NO_SUBTREE, subject: ["uid", "gid"] }]);
  for (let time = 0; time < 2; time++) {
    expect(has(asked("a", { uid: 1, gid: 5 }))).toBe(true);
    expect(has(asked("a", { uid: 2, gid: 5 }))).toBe(false);
    expect(has(asked("a", { uid: 1, gid: 6 }))).toBe(false);
    expect(has(asked("a", { uid: 1, gid: 5 }, { accesses: ["read", "write"] }))).toBe(false);
    expect(has(asked("a", { uid: 1, gid: 5 }, { operation: "create" }))).toBe(false);
  }
});

it("does not give an evicted answer, an expired one, or one of another revision again", () => {
  const evicted = cacheWith({ entries: 1 }, [asked("a"), NO_SUBTREE]);
  expect(evicted.has(asked("a"))).toBe(true);
  evicted.store(asked("b"), NO_SUBTREE);
  expect(evicted.has(asked("a"))).toBe(false);

  const expired = cacheWith({ entries: 10 });
  expired.cache.store(asked("a"), decisionOf({ ...NO_SUBTREE, ttlMs: 5 }), {
    atMs: performance.now() + 60_000,
    epoch: expired.cache.epoch,
  });
  expect(expired.has(asked("a"))).toBe(true);
  expired.store(asked("a"), { ...NO_SUBTREE, ttlMs: 0 });
  expect(expired.has(asked("a"))).toBe(false);

  const old = cacheWith({ entries: 10 }, [asked("a"), NO_SUBTREE]);
  expect(old.has(asked("a"))).toBe(true);
  old.cache.begin({ ...REVISION, sequence: 2n });
  expect(old.has(asked("a"))).toBe(false);

  const dropped = cacheWith({ entries: 10 }, [asked("a/b"), { subtree: "a" }]);
  expect(dropped.has(asked("a/c"))).toBe(true);
  dropped.cache.dropBelow(["a"]);
  expect(dropped.has(asked("a/c"))).toBe(false);
});

it("gives an answer for a subtree to no path that its scope excepts", () => {
  const { has, store } = cacheWith({ entries: 10 }, [asked("a/x"), { subtree: "a", except: ["**/.env", "a/{b,c}/**", "*/*.pem"] }]);
  expect(["a/y", "a/d/pem", "a/d/x.pem", "a/.envrc", "a/.env/x"].map((path) => has(asked(path)))).toEqual([true, true, true, true, true]);
  expect(["a/.env", "a/d/.env", "a/b", "a/c/d/e", "a/k.pem", "b/x"].map((path) => has(asked(path)))).toEqual(new Array(6).fill(false));
  expect(store(asked("a/.env"), { subtree: "a", except: ["**/.env"] })).toBe(false);
  expect(store(asked("a/.env"), NO_SUBTREE)).toBe(true);
  expect(has(asked("a/.env"))).toBe(true);
  expect(has(asked("a/b/.env"))).toBe(false);
});

it("does not find an answer that depends on the file by its path alone", () => {
  const question = asked("a");
  const { has } = cacheWith({ entries: 10 }, [question, { ...NO_SUBTREE, resource: ["layer"] }]);
  expect(has(question)).toBe(true);
  expect(has({ ...question, resource: { ...question.resource, layer: "another" } })).toBe(false);
});
