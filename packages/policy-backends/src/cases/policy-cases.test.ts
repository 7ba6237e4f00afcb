import { describe, expect, it } from "vitest";
import { loadPolicy } from "../rules/load-policy.js";
import { readPolicyCases, runPolicyCase } from "./policy-cases.js";

const { policy } = loadPolicy(
  Buffer.from(
    "version: 1\ndefault: grant\nrules:\n" +
      "  - {name: keys, path: '**/*.pem', effect: deny, errno: ENOENT}\n" +
      "  - {name: slow, path: 'd/**', access: [read], when: \"resource.xattr['user.class'] == 'x'\", effect: mediate, obligations: {readBytesPerSecond: 5}}\n" +
      "  - {name: frozen, path: 'ro/**', effect: grant, obligations: {readOnly: true}}\n" +
      "  - {name: cat, subject: {executable: /bin/evil}, effect: deny}\n",
  ),
  "p",
  "p",
);
const differences = async (text: string): Promise<string[]> => {
  const found: string[] = [];
  for (const each of readPolicyCases(text, "c.yaml"))
    found.push(...(await runPolicyCase(policy, each)).differences.map((one) => `${each.line}: ${one}`));
  return found;
};

describe("policy cases", () => {
  it("pass where the policy says what they expect", async () => {
    expect(
      await differences(`cases:
  - {path: a/key.pem, expect: deny}
  - {path: a/key.pem, access: [read, write], expect: {effect: deny, rule: keys, errno: ENOENT}}
  - {path: [a, ä.pem], expect: deny}
  - {path: d/a, xattrs: {user.class: x}, expect: {effect: mediate, obligations: {readBytesPerSecond: 5}}}
  - {path: d/a, expect: {effect: grant, rule: default}}
  - {path: ro/a, expect: {effect: grant, rule: frozen, obligations: {readOnly: true}}}
  - {path: ro/a, access: [read, write], expect: {effect: deny, rule: frozen, errno: EROFS}}
  - {path: a, executable: /bin/evil, expect: {rule: cat}}
  - {path: a, missing: [subject.executable], expect: deny}
`),
    ).toEqual([]);
  });

  it("tell what is different, each with its line", async () => {
    expect(
      await differences(
        "cases:\n  - {path: a, expect: deny}\n  - {path: a.pem, expect: {effect: deny, rule: other, errno: EPERM, obligations: {audit: each-io}}}\n",
      ),
    ).toEqual([
      '2: effect is "grant", not "deny"',
      '3: rule is "keys", not "other"',
      "3: errno is 2, not 1",
      '3: obligation audit is "none", not "each-io"',
    ]);
  });

  it("name the place of a mistake", () => {
    expect(() => readPolicyCases("cases:\n  - {path: a, expect: denied}\n", "c.yaml")).toThrow(
      /c.yaml:2:\d+: 'expect' is not valid: write grant, mediate, ask, deny or hide/,
    );
    expect(() => readPolicyCases("cases:\n  - {path: a, expct: deny}\n", "c.yaml")).toThrow(/did you mean 'expect'|'expect' is missing/);
    for (const path of ["./a", "/a", "a//b", "a/../b", "a/"]) {
      expect(() => readPolicyCases(`cases:\n  - {path: [b, ${path}], expect: grant}\n`, "c.yaml")).toThrow(
        /c.yaml:2:\d+: 'path' is not valid: write a path below the mount, without a leading slash/,
      );
    }
    expect(() => readPolicyCases("cases: []\n", "c.yaml")).toThrow(/'cases' is too small or empty/);
  });
});
