/**
 * Which questions a mount would not have asked, since a cached answer holds for them: its cache, as a model without
 * limits. Each mount has its own; a fact that the question does not carry is a miss.
 */
import { type CacheScope, type Inquiry, inquiryOf, PathPatterns, type Question, type TextFact } from "@sluice/decision-api";
import type { Ruling } from "@sluice/policy-backends";

/** Between parts of a key. No name holds it. */
const BETWEEN = "\0";

/** Answers whose scopes name the same facts. */
interface Shape {
  scope: CacheScope;
  except: PathPatterns;
  /** Key → until when, in milliseconds since 1970. */
  entries: Map<string, number>;
}

/** Operation and accesses, whatever the order of these: an answer holds for no other. */
export function purposeOf({ operation, accesses }: Question): string {
  return [operation, ...[...accesses].sort()].join();
}

/** undefined: one of the facts is not known. */
function factsOf({ subject, resource, xattrs }: CacheScope, inquiry: Inquiry): string | undefined {
  const facts: (string | undefined)[] = subject.includes("uid") ? [String(inquiry.uid)] : [];
  if (subject.includes("gid")) facts.push(String(inquiry.gid));
  const textFacts: TextFact[] = [...resource];
  for (const field of subject) if (field !== "uid" && field !== "gid") textFacts.push(field);
  for (const fact of textFacts) facts.push(inquiry.fact(fact));
  for (const name of xattrs) facts.push(inquiry.xattr(name));
  return facts.includes(undefined) ? undefined : JSON.stringify(facts);
}

/** The path itself and, where the file has one name, the directories above it: all that may be the key of an answer for it. */
function keysOf({ resource: { paths } }: Question): string[] {
  const keys = [`file ${paths.join(BETWEEN)}`];
  const [path] = paths;
  if (path === undefined || paths.length !== 1) return keys;
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) keys.push(`below ${path.slice(0, end)}`);
  return [...keys, "below "];
}

export class CacheModel {
  readonly #shapes = new Map<string, Shape>();

  /** Does a mount give a cached answer again? `atMs` since 1970. */
  holds(question: Question, atMs: number): boolean {
    const inquiry = inquiryOf(question);
    const keys = keysOf(question);
    const [path] = question.resource.paths;
    for (const { scope, except, entries } of this.#shapes.values()) {
      const facts = factsOf(scope, inquiry);
      if (facts === undefined) continue;
      const found = keys.find((key) => (entries.get(keyOf(question, key, facts)) ?? 0) > atMs);
      if (found !== undefined && (found === keys[0] || !except.match(path as string))) return true;
    }
    return false;
  }

  store(question: Question, { scope }: Ruling, atMs: number): void {
    if (scope === undefined) return;
    const facts = factsOf(scope, inquiryOf(question));
    const key = scope.subtree === undefined ? keysOf(question)[0] : `below ${scope.subtree}`;
    if (facts === undefined || key === undefined || !keysOf(question).includes(key)) return;
    const name = JSON.stringify([scope.subject, scope.resource, scope.xattrs, scope.except]);
    let shape = this.#shapes.get(name);
    if (shape === undefined) {
      shape = { scope, except: PathPatterns.of(scope.except), entries: new Map() };
      this.#shapes.set(name, shape);
    }
    shape.entries.set(keyOf(question, key, facts), scope.ttlMs === undefined ? Number.POSITIVE_INFINITY : atMs + scope.ttlMs);
  }
}

function keyOf(question: Question, scopeKey: string, facts: string): string {
  return [question.resource.mount, purposeOf(question), scopeKey, facts].join(BETWEEN);
}
