import { type Decision, NO_SUBTREE, plainQuestion, QUESTION_LIMITS, type Question } from "@sluice/decision-api";
import { expect, it } from "vitest";
import { inParts } from "./in-parts.js";

const REVISION = { sequence: 1n, digest: "ab".repeat(32) };
const answerOf = (change: Partial<Decision>): Decision => ({
  effect: "grant",
  errno: 0,
  decisionId: "d",
  policyId: "p",
  rule: "r",
  revision: REVISION,
  reason: "",
  obligations: [],
  source: "service",
  scope: { ...NO_SUBTREE, subject: [], resource: [], xattrs: [], accesses: ["read"], ttlMs: undefined },
  ...change,
});

function of(paths: readonly string[]): Question {
  const one = plainQuestion("f");
  return { ...one, resource: { ...one.resource, paths } };
}
const names = (count: number, length = 10): string[] => Array.from({ length: count }, (_, index) => String(index).padStart(length, "n"));

function asker(say: (path: string) => Partial<Decision> = () => ({})): { asked: Question[]; ask: ReturnType<typeof inParts> } {
  const asked: Question[] = [];
  const ask = inParts((question) => {
    asked.push(question);
    return Promise.resolve(answerOf(question.resource.paths.map(say).find(({ effect }) => effect !== undefined) ?? {}));
  });
  return { asked, ask };
}

it("asks a question unchanged if it is within the limits", async () => {
  const { asked, ask } = asker();
  const question = of(names(QUESTION_LIMITS.paths));
  expect((await ask(question, undefined)).scope).toBeDefined();
  expect(asked).toEqual([question]);
});

it("asks about every name once, in questions within the limits, each with an id of its own", async () => {
  for (const paths of [names(1_000), names(200, 3_000), [...names(40, 8_000), ...names(700)]]) {
    const { asked, ask } = asker();
    const question = of(paths);
    await ask(question, undefined);
    expect(asked.flatMap(({ resource }) => resource.paths)).toEqual(paths);
    expect(new Set(asked.map(({ id }) => id)).size).toBe(asked.length);
    expect(asked.length).toBeGreaterThan(1);
    for (const { resource } of asked) {
      expect(resource.paths.length).toBeLessThanOrEqual(QUESTION_LIMITS.paths);
      expect(resource.paths.join("").length).toBeLessThanOrEqual(QUESTION_LIMITS.allPathsBytes);
    }
  }
});

it("takes the strictest answer of all parts, with the obligations of all, and caches nothing for the whole", async () => {
  const paths = names(600);
  for (const index of [0, 300, 599]) {
    const { ask } = asker((path) => (path === paths[index] ? { effect: "deny", errno: 13, rule: "strict" } : {}));
    expect(await ask(of(paths), undefined)).toMatchObject({ effect: "deny", errno: 13, rule: "strict", scope: undefined });
  }
  const { ask } = asker((path) => {
    if (path === paths[1]) return { effect: "mediate", obligations: [{ name: "rate", value: "100" }] };
    return path === paths[599] ? { effect: "mediate", obligations: [{ name: "rate", value: "50" }] } : {};
  });
  expect(await ask(of(paths), undefined)).toMatchObject({
    effect: "mediate",
    obligations: [{ name: "rate", value: "50" }],
    scope: undefined,
  });
});

it("leaves a name that no question can hold to be refused", async () => {
  const { asked, ask } = asker();
  const dear = "x".repeat(QUESTION_LIMITS.allPathsBytes + 1);
  await ask(of(["a", dear, "b"]), undefined);
  expect(asked.map(({ resource }) => resource.paths)).toEqual([["a"], [dear], ["b"]]);
});

it("asks about a file of very many names in several turns of the event loop, each part once", async () => {
  const { asked, ask } = asker();
  const answer = ask(of(names(65_000)), undefined);
  const atOnce = asked.length;
  await new Promise((resolve) => setImmediate(resolve));
  const later = asked.length;
  await answer;
  expect(atOnce).toBeLessThan(later);
  expect(later).toBeLessThan(asked.length);
  expect(asked).toHaveLength(Math.ceil(65_000 / QUESTION_LIMITS.paths));
});

it("fails if a part fails while others are still to be asked", async () => {
  const failing = inParts((question) =>
    question.resource.paths.includes("nnnnnnnnn0") ? Promise.reject(new Error("no answer")) : Promise.resolve(answerOf({})),
  );
  await expect(failing(of(names(65_000)), undefined)).rejects.toThrow("no answer");
});
