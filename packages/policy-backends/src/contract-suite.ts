/**
 * What every policy backend must hold to, as a suite that each one runs, and the cases of one policy (`STANDARD_POLICY`)
 * that each one is given in its own language. Not part of the package's face: import it from a test beside a backend.
 */
import { type Access, ALL_ACCESSES, type Effect, type Question, STRICTNESS } from "@sluice/decision-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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

/**
 * The policy of the cases, as rules; each backend has the same in its own language. Of several that match the strictest
 * holds, so that the order does not matter.
 */
export const STANDARD_POLICY = `version: 1
default: grant
rules:
  - {name: secrets, path: "secret/**", effect: deny}
  - {name: keys, path: "**/*.pem", effect: deny}
  - {name: read-only, path: "readonly/**", access: [write], effect: deny}
  - {name: banned, subject: {uid: 4242}, effect: deny}
  - {name: evil, subject: {executable: /usr/bin/evil}, effect: deny}
  - {name: restricted, when: "resource.xattr['user.class'] == 'restricted'", effect: deny}
  - {name: media, path: "media/**", effect: mediate}
  - {name: work, path: "work/**", when: "resource.layer == 'upper'", effect: mediate}
`;

/** A question of a mount that has looked for everything that the policy looks at. */
export function wholeQuestion(change: Change = {}): Question {
  return sampleQuestion({ lookedFor: ["subject.groups", "resource.xattr.user.class"], ...change });
}

type Change = Parameters<typeof sampleQuestion>[0];
const { subject: anybody, resource: anything } = sampleQuestion();
const at = (path: string, access: Access = "read"): Change => ({ paths: [path], accesses: [access] });
const as = (change: Partial<Question["subject"]>, path = "a"): Change => ({ paths: [path], subject: { ...anybody, ...change } });
const on = (change: Partial<Question["resource"]>, path = "a"): Change => ({ resource: { ...anything, paths: [path], ...change } });
const classed = (value: string): Change => on({ xattrs: new Map([["user.class", Buffer.from(value)]]) });

const CASES: readonly [string, Change, Effect][] = [
  ["a file that no rule is about", at("a"), "grant"],
  ["the root of the mount", at(""), "grant"],
  ["a file deep down", at("x/".repeat(200) + "a"), "grant"],
  ["a file below a denied directory", at("secret/a"), "deny"],
  ["one far below it", at("secret/b/c/d"), "deny"],
  ["one whose name ends at a byte that is not UTF-8", at("secret/\xff"), "deny"],
  ["a directory whose name only begins like it", at("secretive/a"), "grant"],
  ["one of the same name elsewhere", at("a/secret/b"), "grant"],
  ["one of the same name in other letters", at("Secret/a"), "grant"],
  ["writing there", at("secret/a", "write"), "deny"],
  ["executing there", at("secret/a", "execute"), "deny"],
  ["creating there", at("secret/a", "create"), "deny"],
  ["a file by the end of its name", at("key.pem"), "deny"],
  ["the same far down", at("x/y/key.pem"), "deny"],
  ["a name that has it in the middle", at("key.pem.txt"), "grant"],
  ["a directory that has it", at("key.pem/a"), "grant"],
  ["a name in other letters", at("key.PEM"), "grant"],
  ["a name with other bytes before it", at("k\xe4y\xff.pem"), "deny"],
  ["reading what may not be written", at("readonly/a"), "grant"],
  ["writing it", at("readonly/a", "write"), "deny"],
  ["writing beside it", at("readonly.txt", "write"), "grant"],
  ["reading and writing it", { paths: ["readonly/a"], accesses: ["read", "write"] }, "deny"],
  ["reading and executing it", { paths: ["readonly/a"], accesses: ["read", "execute"] }, "grant"],
  ["a banned user", as({ uid: 4242 }), "deny"],
  ["a user whose number begins like it", as({ uid: 42420 }), "grant"],
  ["root", as({ uid: 0 }), "grant"],
  ["a group of that number", as({ gid: 4242, groups: [4242] }), "grant"],
  ["a banned program", as({ executable: "/usr/bin/evil" }), "deny"],
  ["a program whose name begins like it", as({ executable: "/usr/bin/evilness" }), "grant"],
  ["a restricted class", classed("restricted"), "deny"],
  ["another class", classed("public"), "grant"],
  ["a class that only begins like it", classed("restricted!"), "grant"],
  ["a file that the daemon shall pass on", at("media/a.mp4"), "mediate"],
  ["writing it", at("media/a.mp4", "write"), "mediate"],
  ["a banned user there", as({ uid: 4242 }, "media/a"), "deny"],
  ["a denied file there", at("media/key.pem"), "deny"],
  ["a changed file", on({ layer: "upper" }, "work/a"), "mediate"],
  ["one that is not changed", on({ layer: "lower0" }, "work/a"), "grant"],
  ["a changed file elsewhere", on({ layer: "upper" }, "a"), "grant"],
  ["a file with two names, one denied", { paths: ["a", "secret/a"] }, "deny"],
  ["one with two names, one to be passed on", { paths: ["media/a", "a"] }, "mediate"],
  ["one with two names that no rule is about", { paths: ["a", "b"] }, "grant"],
  ["a name of quotes, braces and backslashes", at('"},{"path":"secret/a'), "grant"],
  ["a name of escapes", at("\\u0073ecret/a"), "grant"],
  ["a name of percent signs", at("%73ecret/a"), "grant"],
];

/** `open` makes a backend with the standard policy in force; the suite disposes of it. */
export function backendContract(name: string, open: () => PolicyBackend | Promise<PolicyBackend>): void {
  describe(`${name} as a policy backend`, () => {
    let backend: PolicyBackend;
    const ask = async (question: Question): Promise<Verdict> => backend.policy.evaluate(question);
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

    it.each(CASES)("says of %s what the policy says", async (_, change, effect) => {
      expect(await ask(wholeQuestion(change))).toMatchObject({ effect });
    });

    it("answers every access to every hostile name with a whole verdict", async () => {
      for (const path of HOSTILE_NAMES) {
        for (const access of ALL_ACCESSES) {
          const verdict = await ask(wholeQuestion({ paths: [path], accesses: [access] }));
          expect(Object.keys(STRICTNESS)).toContain(verdict.effect);
          expect(verdict.effect === "deny" ? [1, 2, 13] : [0]).toContain(verdict.errno);
          expect(verdict.rule).not.toBe("");
          expect(verdict.reason).not.toBe("");
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

    it("keeps nothing of an answer for which a fact was missing, and is not laxer for it", async () => {
      const missing = [{ name: "subject.executable", reason: "the caller is gone" }];
      const { executable: _, ...unknown } = anybody;
      const verdict = await ask(wholeQuestion({ subject: unknown, missing }));
      expect(verdict).toMatchObject({ effect: "deny" });
      expect(verdict.scope).toBeUndefined();
    });

    it("says of a kept answer that what the policy looks at was looked at", async () => {
      const { scope } = await ask(wholeQuestion(at("work/a")));
      if (scope === undefined) return; // who cannot say what was looked at keeps nothing
      expect(scope.subject).toEqual(expect.arrayContaining(["uid", "executable"]));
      expect(scope.resource).toContain("layer");
      expect(scope.xattrs).toContain("user.class");
    });

    it("keeps its policy where its source has not changed", () => {
      const { policy } = backend;
      expect(backend.refresh()).toEqual({ state: "unchanged" });
      expect(backend.policy).toBe(policy);
      expect(backend.failure).toBeUndefined();
    });
  });
}
