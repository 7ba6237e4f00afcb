/**
 * What every policy backend must hold to, as a suite that each one runs. It knows nothing of what a policy says, only
 * what any policy's answers must be like. Not part of the package's face: import it from a test beside a backend.
 */
import { type Access, ALL_ACCESSES, type Question, STRICTNESS } from "@sluice/decision-api";
import { describe, expect, it } from "vitest";
import type { PolicyBackend, Verdict } from "./backend.js";

export function sampleQuestion(change: { paths?: readonly string[]; accesses?: readonly Access[] } & Partial<Question> = {}): Question {
  const { paths = ["a"], ...rest } = change;
  return {
    id: "q-1",
    operation: "open",
    accesses: ["read"],
    subject: { uid: 1000, gid: 1000, groups: [], pid: 1, executable: "/bin/cat", cgroup: "/" },
    resource: { mount: "m", paths, layer: "lower0", kind: "regular", sizeBytes: 10n, mode: 0o100644, uid: 0, gid: 0, xattrs: new Map() },
    openFlags: 0,
    missing: [],
    ...rest,
  };
}

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

/** `open` makes a backend with any policy in force; the suite disposes of it. */
export function backendContract(name: string, open: () => PolicyBackend | Promise<PolicyBackend>): void {
  describe(`${name} as a policy backend`, () => {
    async function with_(
      use: (backend: PolicyBackend, ask: (question: Question) => Promise<Verdict>) => Promise<void> | void,
    ): Promise<void> {
      const backend = await open();
      try {
        await use(backend, async (question) => backend.policy.evaluate(question));
      } finally {
        await backend.dispose();
      }
    }

    it("names its policy and revision, the same in its capabilities", () =>
      with_(({ policy, name: label }) => {
        expect(label).toMatch(/^[a-z][a-z0-9-]*$/);
        expect(policy.id).not.toBe("");
        expect(policy.revision.digest).toMatch(/^[0-9a-f]{64}$/);
        expect(policy.capabilities.revision).toEqual(policy.revision);
        expect(policy.capabilities.policyId).toBe(policy.id);
      }));

    it("answers every access to every hostile name with a whole verdict", () =>
      with_(async (_backend, ask) => {
        for (const path of HOSTILE_NAMES) {
          for (const access of ALL_ACCESSES) {
            const verdict = await ask(sampleQuestion({ paths: [path], accesses: [access] }));
            expect(Object.keys(STRICTNESS)).toContain(verdict.effect);
            expect(verdict.effect === "deny" ? [1, 2, 13] : [0]).toContain(verdict.errno);
            expect(verdict.rule).not.toBe("");
            expect(verdict.reason).not.toBe("");
          }
        }
      }));

    it("answers the same question the same way", () =>
      with_(async (_backend, ask) => {
        const question = sampleQuestion({ accesses: ["read", "write"] });
        expect(await ask(question)).toEqual(await ask(question));
      }));

    it("is never laxer for more accesses or more names", () =>
      with_(async (_backend, ask) => {
        const strictness = async (question: Question): Promise<number> => STRICTNESS[(await ask(question)).effect];
        const paths = ["a", "b/c", "secret/x", "x.pem"];
        const together = await strictness(sampleQuestion({ paths, accesses: ALL_ACCESSES }));
        for (const path of paths)
          for (const access of ALL_ACCESSES)
            expect(await strictness(sampleQuestion({ paths: [path], accesses: [access] }))).toBeLessThanOrEqual(together);
      }));

    it("keeps its policy where its source has not changed", () =>
      with_((backend) => {
        const { policy } = backend;
        expect(backend.refresh()).toEqual({ state: "unchanged" });
        expect(backend.policy).toBe(policy);
        expect(backend.failure).toBeUndefined();
      }));
  });
}
