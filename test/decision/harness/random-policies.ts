/** Random policies and questions, made of few words, so that questions match rules and one another. */
import { type Access, type Question, UNDERSTANDS_EXCEPT } from "@sluice/decision-api";
import fc from "fast-check";

const names = fc.constantFrom("a", "b", "c", "\xe9", "d.x");
const paths = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const globs = fc
  .array(fc.constantFrom("a", "b", "c", "*", "?", "[ab]", "{a,b}", "**", "**", "d.*"), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));

const CONDITIONS = [
  "resource.size > 10",
  "resource.size % 2 == 0",
  "resource.mode == 33188",
  "resource.uid == subject.uid",
  "resource.gid == 5",
  "resource.layer == 'upper'",
  "resource.kind == 'directory'",
  "resource.xattr['user.class'] == 'secret'",
  "has(resource.xattr.tag)",
  "resource.path.startsWith('a/')",
  "subject.groups.exists(g, g == 7)",
  "subject.executable == '/bin/x'",
  "subject.cgroup.startsWith('/docker')",
  "operation == 'create'",
  "access == 'write' && subject.uid == 1",
  "subject.uid == 1 || resource.size == 11",
  "10 / (resource.size - 10) > 0",
  "subject.pid == 3",
  "resource.head.startsWith('\\x7fELF')",
  "resource.head == 'ab'",
  "resource.head.size() == 4",
  "resource.digest in digests.known",
  "resource.digest == ''",
];

const DIGEST = "a".repeat(64);
/** The content of the file that a policy names `known`. */
export const KNOWN_DIGESTS = `${DIGEST}  a\n`;

const accesses = fc.constantFrom<Access>("read", "write", "execute", "delete");
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq: 2 });

const rule = fc.record(
  {
    path: optional(fc.array(globs, { minLength: 1, maxLength: 2 })),
    access: optional(fc.uniqueArray(accesses, { minLength: 1, maxLength: 2 })),
    subject: fc.option(
      fc.record(
        {
          uid: fc.constantFrom(0, 1),
          gid: fc.constantFrom(5, 6),
          executable: fc.constantFrom("/bin/*", "/usr/**"),
          cgroup: fc.constantFrom("/docker/**", "/docker/1"),
        },
        { requiredKeys: [] },
      ),
      { nil: undefined, freq: 2 },
    ),
    when: fc.option(fc.constantFrom(...CONDITIONS), { nil: undefined, freq: 2 }),
    scope: fc.option(fc.constant("this" as const), { nil: undefined, freq: 8 }),
  },
  { requiredKeys: [] },
);

/** A policy file, as text. */
export const policies = fc
  .record({
    default: fc.constantFrom("grant", "mediate", "deny"),
    // More or fewer bytes than the questions carry: a short head may be all of the content, or not.
    headBytes: fc.constantFrom(2, 4, 6),
    rules: fc.array(fc.tuple(rule, fc.constantFrom("grant", "mediate", "deny")), { minLength: 1, maxLength: 6 }),
  })
  .map(({ default: otherwise, headBytes, rules }) =>
    JSON.stringify({
      version: 1,
      default: otherwise,
      headBytes,
      digests: { known: "known.sha256" },
      rules: rules.map(([parts, effect], index) => ({ name: `r${index}`, ...parts, effect })),
    }),
  );

const xattrs = fc
  .record({ "user.class": optional(fc.constantFrom("secret", "public")), tag: optional(fc.constantFrom("", "1")) })
  .map((values) => new Map(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, Buffer.from(value)]]))));

export const questions: fc.Arbitrary<Question> = fc
  .record({
    paths: fc.oneof({ arbitrary: fc.tuple(paths), weight: 8 }, { arbitrary: fc.tuple(paths, paths), weight: 1 }),
    accesses: fc.uniqueArray(accesses, { minLength: 1, maxLength: 2 }),
    excepts: fc.boolean(),
    operation: fc.constantFrom("open" as const, "open" as const, "create" as const),
    uid: fc.constantFrom(0, 1, 5),
    gid: fc.constantFrom(5, 6),
    groups: fc.constantFrom([], [7], [7, 8]),
    pid: fc.constantFrom(3, 4),
    executable: fc.constantFrom("/bin/x", "/usr/a/b"),
    cgroup: fc.constantFrom("/", "/docker/1", "/docker/2"),
    size: fc.constantFrom(0n, 10n, 11n, 12n),
    mode: fc.constantFrom(0o100644, 0o100600),
    owner: fc.constantFrom(0, 1),
    group: fc.constantFrom(5, 6),
    layer: fc.constantFrom("upper", "lower0"),
    kind: fc.constantFrom("regular" as const, "directory" as const),
    xattrs,
    head: fc.constantFrom("", "ab", "abcd", "abce", "\x7fELF"),
    askedBytes: fc.constantFrom(4, 6),
    digest: fc.constantFrom("", DIGEST, "b".repeat(64)),
    missing: fc.option(
      fc.constantFrom("subject.groups", "subject.cgroup", "subject.uid", "resource.xattr.tag", "resource.head", "resource.digest"),
      {
        nil: undefined,
        freq: 12,
      },
    ),
  })
  .map((facts) => ({
    id: "q",
    operation: facts.operation,
    accesses: facts.accesses,
    subject: {
      uid: facts.uid,
      gid: facts.gid,
      groups: facts.groups,
      pid: facts.pid,
      ...(facts.missing === "subject.cgroup" ? {} : { cgroup: facts.cgroup }),
      executable: facts.executable,
    },
    resource: {
      mount: "m",
      paths: facts.paths,
      layer: facts.layer,
      kind: facts.kind,
      sizeBytes: facts.size,
      mode: facts.mode,
      uid: facts.owner,
      gid: facts.group,
      xattrs: facts.xattrs,
      ...(facts.missing === "resource.head" ? {} : { head: { bytes: Buffer.from(facts.head, "latin1"), askedBytes: facts.askedBytes } }),
      ...(facts.missing === "resource.digest" ? {} : { digest: facts.digest }),
    },
    openFlags: 0,
    missing: facts.missing === undefined ? [] : [{ name: facts.missing, reason: "as chance has it" }],
    lookedFor: ["resource.xattr.user.class", "resource.xattr.tag", "subject.groups", ...(facts.excepts ? [UNDERSTANDS_EXCEPT] : [])],
  }));
