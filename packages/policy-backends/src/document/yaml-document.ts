/**
 * The text of a policy of any kind → its value, or its mistakes with their places. Knows YAML and zod; each kind knows the
 * meaning of its keys.
 */
import { didYouMean } from "@sluice/decision-api";
import {
  type Alias,
  type Document,
  isCollection,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
} from "yaml";
import type { z } from "zod";
import { type PolicyProblem, ruleAt } from "../rules/problem.js";

export interface Position {
  line: number;
  column: number;
}
/** Finds the value at a path of keys; the nearest that exists above it. `offset` counts characters into a plain scalar. */
export type Locate = (path: readonly PropertyKey[], offset?: number) => Position;
/** The words for a kind of document in messages. */
export interface DocumentWords {
  /** Keys that may stand at a place, for "did you mean". */
  keysAt(path: readonly PropertyKey[]): readonly string[];
  /** Key, or "KEY[]" for an entry of its list → what to write. */
  remedies: Readonly<Record<string, string>>;
}

export interface ParsedYaml {
  contents: ParsedNode | null;
  lines: LineCounter;
  locate: Locate;
  value: unknown;
}
/** Mistakes, or the value. */
export type Read<Result> = { ok: true; result: Result } | { ok: false; problems: PolicyProblem[] };

export const MAX_YAML_BYTES = 4 * 1024 * 1024;
/** zod makes code of a schema for its first document, which takes longer than to look at a small one. */
const COMPILED_FROM_BYTES = 16 * 1024;

function rangeStart(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

/** The start of a scalar's text: behind its quote; for a block, just its start. */
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

/** The places of keys themselves, not of their values: all of a mapping's in one pass. */
function locateKeys(contents: ParsedNode | null, lines: LineCounter, path: readonly PropertyKey[]): Map<string, Position> {
  let node: unknown = contents;
  for (const step of path) node = isCollection(node) ? node.get(step, true) : undefined;
  const places = new Map<string, Position>();
  if (!isMap(node)) return places;
  for (const { key } of node.items) {
    const start = rangeStart(key);
    if (start === undefined || !isScalar(key)) continue;
    const { line, col } = lines.linePos(start);
    places.set(String(key.value), { line, column: col });
  }
  return places;
}

const lastName = (path: readonly PropertyKey[]): string | undefined => path.filter((key) => typeof key === "string").at(-1);
const isEntry = (path: readonly PropertyKey[]): boolean => typeof path.at(-1) === "number";

function pathText(path: readonly PropertyKey[]): string {
  const name = lastName(path);
  if (name === undefined) return "the file";
  return isEntry(path) ? `an entry of '${name}'` : `'${name}'`;
}

function remedyFor(path: readonly PropertyKey[], { remedies }: DocumentWords): string {
  const name = lastName(path) ?? "";
  const ofEntry = isEntry(path) ? remedies[`${name}[]`] : undefined;
  return ofEntry ?? remedies[name] ?? "see docs/rules.md, or docs/policy-backends.md for other engines";
}

/** YAML's words for the types of zod. */
const YAML_WORDS: ReadonlyMap<string, string> = new Map([
  ["object", "mapping"],
  ["array", "list"],
]);

function excess({ origin, maximum }: z.core.$ZodIssueTooBig): string {
  if (origin === "array") return `has more than ${maximum} entries`;
  return origin === "string" ? `has more than ${maximum} characters` : `is greater than ${maximum}`;
}

function describe(issue: z.core.$ZodIssue, missing: boolean): string {
  const what = pathText(issue.path);
  if (missing) return `${what} is missing`;
  switch (issue.code) {
    case "invalid_type": {
      const wanted = YAML_WORDS.get(issue.expected) ?? issue.expected;
      return `${what} is not ${/^[aeiou]/.test(wanted) ? "an" : "a"} ${wanted}`;
    }
    case "invalid_value":
      return `${what} is none of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return `${what} is too small or empty`;
    case "too_big":
      return `${what} ${excess(issue)}`;
    default:
      return `${what} is not valid`;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined;
  return at;
}

/** Nobody reads more suggestions, and each takes a while. */
const MAX_SUGGESTED = 100;

function unknownKeys(issue: z.core.$ZodIssue & { code: "unrecognized_keys" }, parsed: ParsedYaml, words: DocumentWords): PolicyProblem[] {
  const places = locateKeys(parsed.contents, parsed.lines, issue.path);
  const known = words.keysAt(issue.path);
  return issue.keys.map((key, index) => {
    const near = index < MAX_SUGGESTED ? didYouMean(key, known) : undefined;
    return {
      severity: "error",
      ...(places.get(key) ?? parsed.locate(issue.path)),
      ...ruleAt(parsed.value, issue.path),
      message: `key '${key}' is not known here`,
      remedy: near === undefined ? `use one of ${known.join(", ")}` : `did you mean '${near}'?`,
    };
  });
}

function remedyForValue(issue: z.core.$ZodIssue & { code: "invalid_value" }, value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  if (issue.values.some((allowed) => typeof allowed !== "string" && String(allowed) === value)) return "write it without quotes";
  const near = didYouMean(value, issue.values.map(String));
  return near === undefined ? undefined : `did you mean '${near}'?`;
}

function problemsOf(issue: z.core.$ZodIssue, parsed: ParsedYaml, words: DocumentWords): PolicyProblem[] {
  if (issue.code === "unrecognized_keys") return unknownKeys(issue, parsed, words);
  const missing =
    valueAt(parsed.value, issue.path) === undefined &&
    valueAt(parsed.value, issue.path.slice(0, -1)) !== undefined &&
    typeof issue.path.at(-1) === "string";
  const value = valueAt(parsed.value, issue.path);
  let ofValue = issue.code === "invalid_value" ? remedyForValue(issue, value) : undefined;
  if (issue.code === "too_big" && issue.origin === "array") ofValue = `write at most ${issue.maximum}`;
  return [
    {
      severity: "error",
      ...parsed.locate(issue.path),
      ...ruleAt(parsed.value, issue.path),
      message: describe(issue, missing),
      remedy: ofValue ?? remedyFor(issue.path, words),
    },
  ];
}

function single(message: string, remedy: string): Read<never> {
  return { ok: false, problems: [{ severity: "error", line: 1, column: 1, message, remedy }] };
}

/** What to say of a document without content. */
export type WhenEmpty = Pick<PolicyProblem, "message" | "remedy">;

const EMPTY_POLICY: WhenEmpty = { message: "the policy is empty", remedy: "write version: 1 and default: grant, mediate or deny" };

/** Never throws: mistakes are in `problems`. */
export function parseYaml(source: string, whenEmpty = EMPTY_POLICY): Read<ParsedYaml> {
  if (Buffer.byteLength(source) > MAX_YAML_BYTES)
    return single(`the policy is larger than ${MAX_YAML_BYTES} bytes`, "write fewer rules with more globs each");
  if (nestsTooDeep(source)) return tooDeep();
  try {
    return parseChecked(source, whenEmpty);
  } catch (error) {
    // The parser descends as deep as the text is nested.
    if (error instanceof RangeError) return tooDeep();
    throw error;
  }
}

const tooDeep = (): Read<never> => single("it is nested too deeply", "write it flat");
/** Brackets that are open at once, and marks of nested blocks in one line. Patterns in texts come nowhere near. */
const MAX_NESTING = 200;
const NESTED_BLOCKS = new RegExp(`(?:[-?:][ \\t]+){${MAX_NESTING}}`);

/** Found before the parser is, which takes quadratic time for it. One pass over the text, knowing nothing of quotes. */
function nestsTooDeep(source: string): boolean {
  let open = 0;
  for (let at = 0; at < source.length; at++) {
    const code = source.charCodeAt(at);
    if (code === 0x5b || code === 0x7b) open++;
    else if ((code === 0x5d || code === 0x7d) && open > 0) open--;
    if (open > MAX_NESTING) return true;
  }
  return NESTED_BLOCKS.test(source);
}

/** The places of repeated keys of a mapping. The parser looks for them itself, but compares each key with all others. */
function repeatedKeys(yaml: Document.Parsed): number[] {
  const repeated: number[] = [];
  visit(yaml, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        const value = isScalar(key) ? key.value : key;
        if (seen.has(value)) repeated.push(rangeStart(key) ?? 0);
        seen.add(value);
      }
    },
  });
  return repeated;
}

/** Aliases that no anchor before them has the name of: in general globs without quotes, such as *.pem. One pass. */
function unknownAliases(yaml: Document.Parsed): Alias.Parsed[] {
  const anchors = new Set<string>();
  const unknown: Alias.Parsed[] = [];
  visit(yaml, {
    Value: (_, { anchor }) => void (anchor !== undefined && anchors.add(anchor)),
    Alias: (_, alias) => void (!anchors.has(alias.source) && unknown.push(alias as Alias.Parsed)),
  });
  return unknown;
}

/** Codes of the parser for which the value was often meant as a text. */
const PERHAPS_TEXT: ReadonlySet<string> = new Set(["TAG_RESOLVE_FAILED", "UNEXPECTED_TOKEN", "BLOCK_AS_IMPLICIT_KEY"]);

function parseChecked(source: string, whenEmpty: WhenEmpty): Read<ParsedYaml> {
  const lines = new LineCounter();
  const options = { lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: false, version: "1.2" } as const;
  const yaml = parseDocument(source, options);
  const at = (offset: number): Pick<PolicyProblem, "severity" | "line" | "column"> => {
    const { line, col } = lines.linePos(offset);
    return { severity: "error", line, column: col };
  };
  const problems: PolicyProblem[] = [...yaml.errors, ...yaml.warnings].map((flaw) => ({
    ...at(flaw.pos[0]),
    message: `this is not YAML: ${flaw.message.split("\n", 1)[0] ?? ""}`,
    remedy: PERHAPS_TEXT.has(flaw.code) ? "put the text in quotes, or repair the line" : "repair the line",
  }));
  for (const offset of repeatedKeys(yaml)) problems.push({ ...at(offset), message: "a key is given twice", remedy: "keep one" });
  if (problems.length > 0) return { ok: false, problems };
  let value: unknown;
  try {
    value = yaml.toJS({ maxAliasCount: 100 });
  } catch (error) {
    if (error instanceof RangeError) throw error;
    const unknown = unknownAliases(yaml).map(({ source: name, range }) => ({
      ...at(range[0]),
      message: `'*${name}' is an alias of YAML, and no anchor has this name`,
      remedy: `put a text that begins with * in quotes: "*${name}"`,
    }));
    if (unknown.length > 0) return { ok: false, problems: unknown };
    return single("its aliases stand for too much", "write the values out");
  }
  if (value === null) return single(whenEmpty.message, whenEmpty.remedy);
  return { ok: true, result: { contents: yaml.contents, lines, locate: makeLocate(yaml.contents, lines, source), value } };
}

/** Holds a value to its schema. */
export function validateYaml<Document>(parsed: ParsedYaml, schema: z.ZodType<Document>, words: DocumentWords): Read<Document> {
  const [, , bytes = 0] = parsed.contents?.range ?? [];
  const result = schema.safeParse(parsed.value, { jitless: bytes < COMPILED_FROM_BYTES });
  if (result.success) return { ok: true, result: result.data };
  return { ok: false, problems: result.error.issues.flatMap((issue) => problemsOf(issue, parsed, words)) };
}
