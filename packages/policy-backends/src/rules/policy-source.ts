/** The text of a policy file → its document, or its mistakes with their places. Knows YAML and zod; no rule is understood here. */
import { isCollection, isMap, isScalar, LineCounter, type Node, type ParsedNode, parseDocument } from "yaml";
import type { z } from "zod";
import { keysAt, type PolicyDocument, policySchema } from "./policy-schema.js";
import { didYouMean, type PolicyProblem } from "./problem.js";

export interface Position {
  line: number;
  column: number;
}
/** Where the value at a path of keys stands; the nearest that exists above it. `offset` counts characters into a plain scalar. */
export type Locate = (path: readonly PropertyKey[], offset?: number) => Position;
export type ReadPolicy =
  | { document: PolicyDocument; locate: Locate; problems: PolicyProblem[] }
  | { document: undefined; problems: PolicyProblem[] };

const MAX_BYTES = 4 * 1024 * 1024;

function rangeStart(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

/** Where the text of a scalar begins: behind its quote; for a block, just its start. */
function scalarTextStart(node: Node, source: string): { start: number; exact: boolean } {
  const start = rangeStart(node) ?? 0;
  const first = source[start];
  if (first === '"' || first === "'") return { start: start + 1, exact: true };
  return { start, exact: first !== "|" && first !== ">" };
}

function makeLocate(contents: ParsedNode | null, lines: LineCounter, source: string): Locate {
  return (path, offset) => {
    let node: unknown = contents;
    for (const key of path) {
      if (!isCollection(node)) break;
      const next = node.get(key, true);
      if (next === undefined) break;
      node = next;
    }
    let at = rangeStart(node) ?? 0;
    if (offset !== undefined && isScalar(node)) {
      const { start, exact } = scalarTextStart(node, source);
      at = exact ? start + offset : start;
    }
    const { line, col } = lines.linePos(at);
    return { line, column: col };
  };
}

/** The place of a key itself, not of its value. */
function locateKey(
  contents: ParsedNode | null,
  lines: LineCounter,
  where: { path: readonly PropertyKey[]; key: string },
): Position | undefined {
  let node: unknown = contents;
  for (const step of where.path) node = isCollection(node) ? node.get(step, true) : undefined;
  if (!isMap(node)) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === where.key);
  const start = rangeStart(pair?.key);
  if (start === undefined) return undefined;
  const { line, col } = lines.linePos(start);
  return { line, column: col };
}

function pathText(path: readonly PropertyKey[]): string {
  const names = path.filter((key) => typeof key === "string");
  return names.length === 0 ? "the policy" : `'${String(names.at(-1))}'`;
}

const REMEDIES: Readonly<Record<string, string>> = {
  version: "write version: 1",
  revision: "write a whole number that grows with each edit",
  default: "write default: grant, mediate or deny",
  rules: "write a list of rules",
  name: "give the rule a short name of its own",
  path: 'write a glob such as "data/**", or a list of globs',
  access: "write a list of read, write, execute, create, delete, link, rename, truncate, metadata",
  uid: "write a number, or a list of numbers",
  gid: "write a number, or a list of numbers",
  cgroup: 'write a glob such as "/docker/**", or a list of globs',
  executable: 'write a glob such as "/usr/bin/*", or a list of globs',
  subject: "write { uid: …, gid: …, cgroup: …, executable: … }",
  when: "write a CEL expression in quotes, of at most 4096 characters",
  effect: "write effect: grant, mediate or deny",
  errno: "write EACCES, EPERM or ENOENT",
  obligations: "write { audit: each-io, readBytesPerSecond: …, writeBytesPerSecond: …, readOnly: true }",
  audit: "write audit: each-io",
  readBytesPerSecond: "write a whole number of bytes",
  writeBytesPerSecond: "write a whole number of bytes",
  ratePer: "write ratePer: handle, subject or rule",
  maxSizeBytes: "write a whole number of bytes",
  expiresAfter: "write a whole number and ms, s, m or h, such as 30s",
  readOnly: "write readOnly: true, or leave it out",
  ttl: "write a whole number and ms, s, m or h, such as 30s",
  onOutage: "write onOutage: deny, mediate or stale, or leave it out for what the mount is configured to",
  scope: "write scope: this, or leave it out: what may be cached is computed",
};

function remedyFor(path: readonly PropertyKey[]): string {
  const last = path.filter((key) => typeof key === "string").at(-1);
  return (last === undefined ? undefined : REMEDIES[String(last)]) ?? "write it as the documentation of the policy file shows";
}

function describe(issue: z.core.$ZodIssue, missing: boolean): string {
  const what = pathText(issue.path);
  if (missing) return `${what} is missing`;
  switch (issue.code) {
    case "invalid_type":
      return `${what} is not ${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected === "object" ? "mapping" : issue.expected}`;
    case "invalid_value":
      return `${what} is none of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return `${what} is too small or empty`;
    case "too_big":
      return `${what} is too big or too long`;
    default:
      return `${what} is not valid`;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined;
  return at;
}

interface Parsed {
  contents: ParsedNode | null;
  lines: LineCounter;
  locate: Locate;
  value: unknown;
}

function unknownKeys(issue: z.core.$ZodIssue & { code: "unrecognized_keys" }, parsed: Parsed): PolicyProblem[] {
  return issue.keys.map((key) => {
    const known = keysAt(issue.path);
    const near = didYouMean(key, known);
    return {
      severity: "error",
      ...(locateKey(parsed.contents, parsed.lines, { path: issue.path, key }) ?? parsed.locate(issue.path)),
      message: `key '${key}' is not known here`,
      remedy: near === undefined ? `use one of ${known.join(", ")}` : `did you mean '${near}'?`,
    };
  });
}

function problemsOf(issue: z.core.$ZodIssue, parsed: Parsed): PolicyProblem[] {
  if (issue.code === "unrecognized_keys") return unknownKeys(issue, parsed);
  const missing =
    valueAt(parsed.value, issue.path) === undefined &&
    valueAt(parsed.value, issue.path.slice(0, -1)) !== undefined &&
    typeof issue.path.at(-1) === "string";
  const value = valueAt(parsed.value, issue.path);
  const near = issue.code === "invalid_value" && typeof value === "string" ? didYouMean(value, issue.values.map(String)) : undefined;
  return [
    {
      severity: "error",
      ...parsed.locate(issue.path),
      message: describe(issue, missing),
      remedy: near === undefined ? remedyFor(issue.path) : `did you mean '${near}'?`,
    },
  ];
}

function single(message: string, remedy: string): ReadPolicy {
  return { document: undefined, problems: [{ severity: "error", line: 1, column: 1, message, remedy }] };
}

/** Never throws: what is wrong is in `problems`. */
export function readPolicy(source: string): ReadPolicy {
  if (Buffer.byteLength(source) > MAX_BYTES)
    return single(`the policy is larger than ${MAX_BYTES} bytes`, "write fewer rules with more globs each");
  const lines = new LineCounter();
  const yaml = parseDocument(source, { lineCounter: lines, prettyErrors: false, stringKeys: true, version: "1.2" });
  const flaws = [...yaml.errors, ...yaml.warnings];
  if (flaws.length > 0) {
    const problems = flaws.map((flaw): PolicyProblem => {
      const { line, col } = lines.linePos(flaw.pos[0]);
      const message = flaw.code === "DUPLICATE_KEY" ? "a key is given twice" : `this is not YAML: ${flaw.message.split("\n", 1)[0] ?? ""}`;
      return { severity: "error", line, column: col, message, remedy: flaw.code === "DUPLICATE_KEY" ? "keep one" : "repair the line" };
    });
    return { document: undefined, problems };
  }
  let value: unknown;
  try {
    value = yaml.toJS({ maxAliasCount: 100 });
  } catch {
    return single("its aliases stand for too much", "write the values out");
  }
  if (value === null) return single("the policy is empty", "write version: 1 and default: grant, mediate or deny");
  const locate = makeLocate(yaml.contents, lines, source);
  const result = policySchema.safeParse(value);
  if (result.success) return { document: result.data, locate, problems: [] };
  const parsed = { contents: yaml.contents, lines, locate, value };
  return { document: undefined, problems: result.error.issues.flatMap((issue) => problemsOf(issue, parsed)) };
}
