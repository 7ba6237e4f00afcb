/** Table cases for a policy: questions with the expected answers. Read from YAML, run against a policy of any kind. */
import { DENIAL_ERRNO, type Effect, EROFS, isPlainPath, obliged } from "@sluice/decision-api";
import { z } from "zod";
import type { Policy, Ruling } from "../backend.js";
import { type DocumentWords, parseYaml, validateYaml } from "../document/yaml-document.js";
import { PolicyError } from "../rules/problem.js";
import { DESCRIBED_SHAPE, questionOf } from "./described-question.js";

const effect = z.enum(["grant", "mediate", "ask", "deny", "hide"]);
const expected = z.strictObject({
  effect: effect.optional(),
  rule: z.string().optional(),
  errno: z.enum(["EACCES", "EPERM", "ENOENT", "EROFS"]).optional(),
  obligations: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});
const policyCase = z.strictObject({
  name: z.string().min(1).optional(),
  ...DESCRIBED_SHAPE,
  // A mount asks about no other path, so the policy's answer would tell nothing.
  path: DESCRIBED_SHAPE.path.refine((paths) => paths.every(isPlainPath)),
  expect: z.union([effect, expected]),
});
const casesSchema = z.strictObject({ cases: z.array(policyCase).min(1).max(10_000) });
/** Of denials, the mount's own for changes under `readOnly` included. */
const ERRNO = { ...DENIAL_ERRNO, EROFS };
const OWNER_KEYS = ["uid", "gid"];

const WORDS: DocumentWords = {
  keysAt(path) {
    const names = path.filter((key) => typeof key === "string").join(".");
    switch (names) {
      case "":
        return Object.keys(casesSchema.shape);
      case "cases":
        return Object.keys(policyCase.shape);
      case "cases.expect":
        return Object.keys(expected.shape);
      default:
        return OWNER_KEYS;
    }
  },
  remedies: {
    "": "write cases: and a list of them",
    cases: "write a list of cases",
    path: "write a path below the mount, without a leading slash, '.' or '..', or a list of paths",
    access: "write read, write, execute, create, delete, link, rename, truncate or metadata, or a list of them",
    expect: "write grant, mediate, ask, deny or hide, or { effect: …, rule: …, errno: …, obligations: { … } }",
    effect: "write grant, mediate, ask, deny or hide",
    uid: "write a number",
    gid: "write a number",
    groups: "write a list of numbers",
    size: "write a whole number of bytes",
    kind: "write regular, directory, symlink, character-device, block-device, fifo or socket",
    owner: "write { uid: …, gid: … }",
    xattrs: "write { user.class: restricted }",
    labels: "write { pod.namespace: training }",
    head: 'write the beginning of the content, one character for each byte, such as "\\x7fELF"',
    digest: "write a SHA-256 sum, as 64 hexadecimal digits",
    missing: "write a list such as [subject.executable]",
  },
};

export type PolicyCase = Omit<z.infer<typeof policyCase>, "expect"> & { expect: z.infer<typeof expected>; line: number };

/** Of one case: the differences from its expectations, in words; empty if there are none. */
export interface CaseOutcome {
  differences: readonly string[];
  ruling: Ruling | undefined;
}

/** Throws `PolicyError` with every mistake in the file. */
export function readPolicyCases(text: string, file: string): readonly PolicyCase[] {
  const parsed = parseYaml(text, { message: "the file is empty", remedy: "write cases: and a list of them" });
  if (!parsed.ok) throw new PolicyError(file, parsed.problems);
  const checked = validateYaml(parsed.result, casesSchema, WORDS);
  if (!checked.ok) throw new PolicyError(file, checked.problems);
  const { locate } = parsed.result;
  return checked.result.cases.map((each, index) => ({
    ...each,
    expect: typeof each.expect === "string" ? { effect: each.expect } : each.expect,
    line: locate(["cases", index]).line,
  }));
}

function differencesOf(ruling: Ruling, { expect }: PolicyCase): string[] {
  const differences: string[] = [];
  const compare = (what: string, wanted: unknown, found: unknown): void => {
    if (wanted !== undefined && wanted !== found)
      differences.push(`${what} is ${JSON.stringify(found ?? "none")}, not ${JSON.stringify(wanted)}`);
  };
  // A hidden name is denied, too.
  const found: Effect | "hide" = ruling.hides === true && expect.effect !== "deny" ? "hide" : ruling.effect;
  compare("effect", expect.effect satisfies Effect | "hide" | undefined, found);
  compare("rule", expect.rule, ruling.rule);
  compare("errno", expect.errno === undefined ? undefined : ERRNO[expect.errno], ruling.errno);
  const obligations = new Map(ruling.obligations.map(({ name, value }) => [name, value]));
  for (const [name, value] of Object.entries(expect.obligations ?? {})) compare(`obligation ${name}`, String(value), obligations.get(name));
  return differences;
}

/** A policy that gives no answer differs from every expectation. */
export async function runPolicyCase(policy: Policy, each: PolicyCase): Promise<CaseOutcome> {
  try {
    const question = questionOf(each, `case-${each.line}`, policy.capabilities);
    const { enforced: ruling } = obliged(await policy.evaluate(question), question);
    return { differences: differencesOf(ruling, each), ruling };
  } catch (error) {
    return { differences: [`no answer: ${(error as Error).message}`], ruling: undefined };
  }
}
