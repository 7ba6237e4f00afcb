/**
 * The contract of policy backends, as a suite that each one runs, with the cases of the standard policy. Not part of the
 * package's face: import it from a test beside a backend.
 */
import { ALL_ACCESSES, type Question, STRICTNESS } from "@sluice/decision-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PolicyBackend, Ruling } from "./backend.js";
import { anybody, at, STANDARD_CASES, wholeQuestion } from "./testing/standard-policy.js";

const HOSTILE_NAMES = [
  "",
  "a\nb",
  "\xff\xfe",
  "\xc0\x80/\xed\xa0\x80",
  "a/".repeat(2047).slice(0, -1),
  "*".repeat(255),
  "{a,b}[z]\\",
  "\u0001".repeat(4096),
  "__proto__/constructor",
];

type Evaluate = (question: Question) => Promise<Ruling>;

/** The form of every answer. */
function answersContract(ask: Evaluate): void {
  it("answers every access to every hostile name with a whole answer", async () => {
    for (const path of HOSTILE_NAMES) {
      for (const access of ALL_ACCESSES) {
        const ruling = await ask(wholeQuestion({ paths: [path], accesses: [access] }));
        expect(Object.keys(STRICTNESS)).toContain(ruling.effect);
        expect(ruling.effect === "deny" ? [1, 2, 13] : [0]).toContain(ruling.errno);
        expect(ruling.rule).not.toBe("");
        expect(ruling.reason).not.toBe("");
      }
    }
  });

  it("answers the same question the same way", async () => {
    const question = wholeQuestion({ accesses: ["read", "write"] });
    expect(await ask(question)).toEqual(await ask(question));
  });

  it("answers many questions at once, each its own", async () => {
    const effects = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => (await ask(wholeQuestion(at(i % 2 === 0 ? `secret/${i}` : `open/${i}`)))).effect),
    );
    expect(effects).toEqual(effects.map((_, i) => (i % 2 === 0 ? "deny" : "grant")));
  });

  it("is never laxer for more accesses or more names", async () => {
    const strictness = async (question: Question): Promise<number> => STRICTNESS[(await ask(question)).effect];
    const paths = ["a", "b/c", "media/x", "x.pem"];
    const together = await strictness(wholeQuestion({ paths, accesses: ALL_ACCESSES }));
    for (const path of paths)
      for (const access of ALL_ACCESSES)
        expect(await strictness(wholeQuestion({ paths: [path], accesses: [access] }))).toBeLessThanOrEqual(together);
  });

  scopesContract(ask);
}

/** The scopes of answers. */
function scopesContract(ask: Evaluate): void {
  it("caches no answer for which a fact was missing, and is not laxer for it", async () => {
    const missing = [{ name: "subject.executable", reason: "the caller is gone" }];
    const { executable: _, ...unknown } = anybody;
    const ruling = await ask(wholeQuestion({ subject: unknown, missing }));
    expect(ruling).toMatchObject({ effect: "deny" });
    expect(ruling.scope).toBeUndefined();
  });

  it("puts every fact that the policy looks at into the scope of a cached answer", async () => {
    const { scope } = await ask(wholeQuestion(at("work/a")));
    if (scope === undefined) return; // a backend that does not know its facts caches nothing
    expect(scope.subject).toEqual(expect.arrayContaining(["uid", "executable"]));
    expect(scope.resource).toContain("layer");
    expect(scope.xattrs).toContain("user.class");
  });
}

/** `open` makes a backend with the standard policy in force; the suite disposes of it. */
export function backendContract(name: string, open: () => PolicyBackend | Promise<PolicyBackend>): void {
  describe(`${name} as a policy backend`, () => {
    let backend: PolicyBackend;
    const ask = async (question: Question): Promise<Ruling> => backend.policy.evaluate(question);
    beforeAll(async () => {
      backend = await open();
    }, 60_000);
    afterAll(() => backend?.dispose());

    it("names its policy and revision, the same in its capabilities", () => {
      const { policy, name: label } = backend;
      expect(label).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(policy.id).not.toBe("");
      expect(policy.revision.digest).toMatch(/^[0-9a-f]{64}$/);
      expect(policy.capabilities.revision).toEqual(policy.revision);
      expect(policy.capabilities.policyId).toBe(policy.id);
    });

    it.each(STANDARD_CASES)("says of %s what the policy says", async (_, change, effect) => {
      expect(await ask(wholeQuestion(change))).toMatchObject({ effect });
    });

    answersContract(ask);

    it("keeps its policy where its source has not changed", () => {
      const { policy } = backend;
      expect(backend.refresh()).toEqual({ state: "unchanged" });
      expect(backend.policy).toBe(policy);
      expect(backend.failure).toBeUndefined();
    });
  });
}
