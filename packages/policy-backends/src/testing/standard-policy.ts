/** The policy that every backend is given in its own language, and the cases of it. For tests. */
import type { Access, Effect, Question } from "@sluice/decision-api";

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
export const { subject: anybody, resource: anything } = sampleQuestion();
export const at = (path: string, access: Access = "read"): Change => ({ paths: [path], accesses: [access] });
const as = (change: Partial<Question["subject"]>, path = "a"): Change => ({ paths: [path], subject: { ...anybody, ...change } });
const on = (change: Partial<Question["resource"]>, path = "a"): Change => ({ resource: { ...anything, paths: [path], ...change } });
const classed = (value: string): Change => on({ xattrs: new Map([["user.class", Buffer.from(value)]]) });

/** Questions in words, each with the policy's answer. */
export const STANDARD_CASES: readonly [string, Change, Effect][] = [
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
