import { describe, expect, it } from "vitest";
import { loadPolicy } from "../load-policy.js";
import { PolicyError, problemLine } from "../problem.js";

/** Of rules that grant by default, one in a line from line 4 on. */
function advice(...rules: readonly string[]): string[] {
  const text = `version: 1\ndefault: grant\nrules:\n${rules.map((rule) => `  - {${rule}}\n`).join("")}`;
  return loadPolicy(Buffer.from(text), "p", "p").warnings.map((problem) => problemLine("p", problem).replace(/^p:(\d+):\d+: /, "$1 "));
}

describe("a rule that never matches", () => {
  it.each([
    ["name: all, path: 'data/**', effect: deny", "name: late, path: data/x/a.txt, effect: grant"],
    ["name: all, path: 'data/**', effect: deny", "name: late, path: ['data/**/*.pem', 'data/*/x?'], effect: mediate, access: read"],
    ["name: all, path: '**/*.pem', effect: deny", "name: late, path: 'a/**/key.pem', effect: mediate"],
    ["name: all, path: '{a,b}/**', effect: deny", "name: late, path: ['a/**', 'b/x.txt'], effect: grant"],
    ["name: all, path: 'a/*/b.txt', effect: deny", "name: late, path: 'a/{x,y}/b.txt', effect: grant"],
    ["name: all, subject: {uid: [1, 2]}, effect: deny", "name: late, path: 'a/**', subject: {uid: 2}, effect: grant"],
    [
      "name: all, path: 'a/**', when: 'resource.size > 5', effect: deny",
      "name: late, path: a/b.txt, when: 'resource.size > 5', effect: grant",
    ],
  ])("is named, with the rule before it: %s before %s", (taker, late) => {
    expect(advice(taker, late)).toEqual([
      "5 rule 'late': it is never reached: rule 'all' takes all of it: move it before that rule, or delete it",
    ]);
  });

  it.each([
    ["name: all, path: 'data/*', effect: deny", "name: late, path: 'data/**', effect: grant"],
    ["name: all, path: 'data/a*', effect: deny", "name: late, path: 'data/*', effect: grant"],
    ["name: all, path: '**/a/*', effect: deny", "name: late, path: 'a/**', effect: grant"],
    ["name: all, path: 'data/**', access: read, effect: deny", "name: late, path: 'data/x/**', effect: grant"],
    ["name: all, subject: {uid: 1}, effect: deny", "name: late, subject: {uid: [1, 2]}, effect: grant"],
    ["name: all, subject: {uid: 1}, effect: deny", "name: late, effect: grant"],
    ["name: all, when: 'resource.size > 5', effect: deny", "name: late, when: 'resource.size > 6', effect: grant"],
    // Without the fact both are undecided, and the stricter one is taken.
    ["name: all, subject: {executable: /bin/a}, effect: grant", "name: late, subject: {executable: /bin/a}, effect: deny"],
  ])("is not confused with one that can match: %s before %s", (first, second) => {
    expect(advice(first, second)).toEqual([]);
  });

  // Pairs of a thousand rules are 25 times as many as are compared at all.
  it("is found among a thousand rules without comparing each with each", () => {
    const many = Array.from({ length: 998 }, (_, index) => `name: r${index}, path: 'd${index}/**', effect: deny`);
    const found = advice(...many, "name: late, path: d900/x.txt, effect: grant");
    expect(found).toEqual([expect.stringContaining("rule 'late': it is never reached: rule 'r900' takes all of it") as string]);
  });

  it.each([
    ["when: 'subject.uid == 1 && subject.uid == 2'", "no value of 'subject.uid' fits all of it"],
    ["when: '!(subject.uid != 1 || resource.size < 5) && subject.uid > 1'", "no value of 'subject.uid' fits all of it"],
    ["when: 'resource.size < 5 && 10 < resource.size'", "no value of 'resource.size' fits all of it"],
    ["when: 'resource.size > 5 && resource.size < 6'", "no value of 'resource.size' fits all of it"],
    ["when: 'subject.uid < 0'", "no value of 'subject.uid' fits all of it"],
    ["subject: {uid: [5, 7]}, when: 'subject.uid in [6, 8]'", "no value of 'subject.uid' fits it and the rule's own 'subject'"],
    ["access: read, when: \"access == 'write'\"", "no value of 'access' fits it and the rule's own 'access'"],
    ["path: 'a/**', when: \"resource.path.startsWith('b/')\"", "no value of 'resource.path' fits it and the rule's own 'path'"],
    ["path: 'a/*', when: \"resource.path == 'a/b/c'\"", "no value of 'resource.path' fits it and the rule's own 'path'"],
    ["when: \"resource.path.startsWith('a/') && resource.path.startsWith('b/')\"", "no value of 'resource.path' fits all of it"],
    [
      "when: \"resource.xattr['user.a'] == 'x' && resource.xattr['user.a'] == 'y'\"",
      "no value of 'resource.xattr['user.a']' fits all of it",
    ],
  ])("for its condition is named: %s", (rest, why) => {
    expect(advice(`name: a, effect: deny, ${rest}`)).toEqual([
      `4 rule 'a': condition: it is never true: ${why}: correct it, or delete the rule`,
    ]);
  });

  it.each([
    "when: 'subject.uid == 1 || subject.uid == 2'",
    "when: 'subject.uid > 0 && subject.uid < 2 && subject.uid != 5'",
    "when: 'subject.uid != 1 && subject.uid != 2 && subject.uid >= 1'",
    "subject: {uid: [5, 6]}, when: 'subject.uid in [6, 8]'",
    "access: write, when: \"access == 'truncate'\"",
    "path: 'a/**', when: \"resource.path.startsWith('a/b')\"",
    "path: ['a/**', '**/*.c'], when: \"resource.path.startsWith('b/')\"",
    "path: 'a/*', when: \"resource.path == 'a/b'\"",
    "when: \"resource.path.startsWith('a') && resource.path.endsWith('b') && !resource.path.startsWith('ab')\"",
    "when: \"resource.xattr['user.a'] == 'x' && resource.xattr['user.b'] == 'y'\"",
    "when: '1 in subject.groups && subject.groups.exists(g, g == 2)'",
    "when: 'true'",
  ])("is not confused with one whose condition can be true: %s", (rest) => {
    expect(advice(`name: a, effect: deny, ${rest}`)).toEqual([]);
  });
});

describe("a comparison with a value that the fact never has", () => {
  it.each([
    ["subject.uid == 'root' || resource.size > 5", "'subject.uid' is a number, and never equals the text 'root': compare it with a number"],
    ["resource.layer == 0", "'resource.layer' is a text, and never equals the number 0: compare it with a text"],
    ["resource.kind == 'dirctory'", "'resource.kind' is never 'dirctory': did you mean 'directory'?"],
    ["access in ['read', 'chmod']", "'access' is never 'chmod': use one of read, write, execute, create, delete, link, rename"],
    ["resource.size > 5 && !(operation == 'opne')", "'operation' is never 'opne': did you mean 'open'?"],
  ])("is named: %s", (when, why) => {
    expect(advice(`name: a, effect: deny, when: "${when}"`)).toEqual([expect.stringContaining(`4 rule 'a': condition: ${why}`) as string]);
  });
});

describe("an obligation without effect", () => {
  it.each([
    ["access: read", "writeBytesPerSecond: 5", "'writeBytesPerSecond' has no effect on read"],
    ["access: write", "readBytesPerSecond: 5", "'readBytesPerSecond' has no effect on write, truncate"],
    ["access: read", "ratePer: rule", "'ratePer' has no effect without a rate: add readBytesPerSecond or writeBytesPerSecond"],
    ["access: [delete, rename]", "expiresAfter: 5s", "'expiresAfter' has no effect: delete, rename opens no file"],
    ["access: delete", "audit: each-io", "'audit' needs an open file: the mount denies delete under this rule: write effect: deny"],
  ])("is named: %s with %s", (access, obligation, why) => {
    const found = advice(`name: a, ${access}, effect: mediate, obligations: {${obligation}}`);
    expect(found).toEqual([expect.stringContaining(`4 rule 'a': ${why}`) as string]);
  });

  it("is not confused with one that acts", () => {
    for (const rule of [
      "access: read, effect: mediate, obligations: {readBytesPerSecond: 5, ratePer: rule, audit: each-io, expiresAfter: 5s}",
      "access: write, effect: mediate, obligations: {maxSizeBytes: 5, writeBytesPerSecond: 5}",
      "access: read, effect: grant, obligations: {readOnly: true}",
    ])
      expect(advice(`name: a, ${rule}`)).toEqual([]);
  });
});

describe("a rule that asks a person", () => {
  it.each(["rename", "[create, delete, link]", "[truncate, metadata]"])("is named if nobody waits for the answer: %s", (access) => {
    const why = `4 rule 'a': nobody waits for an answer to ${access.replace(/[[\]]/g, "")}: the mount denies it at once`;
    expect(advice(`name: a, access: ${access}, effect: ask`)).toEqual([expect.stringContaining(why) as string]);
  });

  it("is not named if an open waits", () => {
    for (const access of ["", "access: read, ", "access: [write, rename], "]) expect(advice(`name: a, ${access}effect: ask`)).toEqual([]);
  });
});

describe("a policy with mistakes", () => {
  it("is warned of doubtful globs and conditions too, but not of rules whose keys are not all understood", () => {
    const text = `version: 1
default: grnt
rules:
  - {name: a, path: "*.pem", effect: deny, when: "subject.uid == 'x'", colour: red}
  - {name: b, paht: x, effect: deny}
  - {name: c, path: "data/**", effect: deny}
`;
    const found = ((): PolicyError => {
      try {
        loadPolicy(Buffer.from(text), "p", "p");
      } catch (error) {
        return error as PolicyError;
      }
      throw new Error("it checks");
    })();
    expect(found).toBeInstanceOf(PolicyError);
    expect(found.problems.map(({ severity, line, rule, message }) => `${severity} ${line} ${rule}: ${message}`)).toEqual([
      "error 2 undefined: 'default' is none of grant, mediate, deny",
      "warning 4 a: glob '*.pem' matches in the mount's root alone",
      "warning 4 a: condition: 'subject.uid' is a number, and never equals the text 'x'",
      "error 4 a: key 'colour' is not known here",
      "error 5 b: key 'paht' is not known here",
    ]);
  });
});
