/** A rule's `when`: a CEL expression, checked at load and evaluated against the facts of one question. */
import { type Access, type FileKind, plainQuestion, type Question, textOfBytes } from "@sluice/decision-api";
import { celEnv, isCelError, parse, plan } from "./cel.js";
import { impossibleCondition } from "./advice/impossible-condition.js";
import { type ConditionFacts, type ConditionFlaw, type Expr, inspectCondition, LABEL_OR_EMPTY, XATTR_OR_EMPTY } from "./condition-check.js";
import type { DigestLists } from "./digest-lists.js";
import type { PermittingOrDenying } from "./judging-rule.js";
import { headOf } from "../unknown-facts.js";
import { type LookedAt, RESOURCE_BIT, SUBJECT_BIT } from "./looked-at.js";

/** undefined: the expression failed on these facts. */
export type ConditionResult = boolean | undefined;

export interface Condition {
  facts: ConditionFacts;
  /** Notes everything that the expression reads, whether this evaluation comes to it or not. */
  note(lookedAt: LookedAt): void;
  evaluate(bindings: Bindings): ConditionResult;
}
export interface Flaw {
  /** Characters into the expression. */
  offset: number;
  message: string;
  remedy: string;
}

type CelScalarValue = string | bigint;
type Facts = Record<string, CelScalarValue | bigint[] | Map<string, string>>;
export interface Bindings {
  subject: Facts;
  resource: Facts;
  access: string;
  operation: string;
  digests: DigestLists;
}

/** The inputs of conditions besides the plain facts of a question. */
export interface ConditionContext {
  xattrs: readonly string[];
  labels: readonly string[];
  headBytes: number;
  digests: DigestLists;
}

let environment: ReturnType<typeof celEnv> | undefined;

/** The first condition makes the environment, and loads CEL (cel.ts). @throws if that is of another build by now */
function prepareCel(): ReturnType<typeof celEnv> {
  return (environment ??= celEnv());
}

const planned = (expr: Expr): ReturnType<typeof plan> => plan(prepareCel(), expr);

/** The facts of one question; path and access are set for each combination by `bindTo`. */
export function bindingsOf(question: Question, { xattrs: xattrNames, labels: labelNames, headBytes, digests }: ConditionContext): Bindings {
  const { subject, resource } = question;
  const xattrs = new Map<string, string>();
  for (const [name, value] of resource.xattrs) xattrs.set(name, textOfBytes(Buffer.from(value).toString("latin1")));
  const orEmpty = new Map(xattrs);
  for (const name of xattrNames) if (!orEmpty.has(name)) orEmpty.set(name, "");
  const labels = new Map(Object.entries(resource.labels ?? {}));
  const labelOrEmpty = new Map(labels);
  for (const name of labelNames) if (!labelOrEmpty.has(name)) labelOrEmpty.set(name, "");
  return {
    subject: {
      uid: BigInt(subject.uid),
      gid: BigInt(subject.gid),
      groups: (subject.groups ?? []).map(BigInt),
      pid: BigInt(subject.pid),
      executable: textOfBytes(subject.executable ?? ""),
      cgroup: textOfBytes(subject.cgroup ?? ""),
    },
    resource: {
      path: "",
      layer: resource.layer,
      kind: resource.kind satisfies FileKind,
      size: BigInt.asIntN(64, resource.sizeBytes),
      mode: BigInt(resource.mode),
      uid: BigInt(resource.uid),
      gid: BigInt(resource.gid),
      xattr: xattrs,
      [XATTR_OR_EMPTY]: orEmpty,
      label: labels,
      [LABEL_OR_EMPTY]: labelOrEmpty,
      head: headOf(question, headBytes),
      digest: resource.digest ?? "",
    },
    access: "",
    operation: question.operation,
    digests,
  };
}

export function bindTo(bindings: Bindings, path: string, access: Access): void {
  bindings.resource["path"] = textOfBytes(path);
  bindings.access = access;
}

const SAMPLE = plainQuestion("a");

/** The parts between &&, ||, ! and ?: — each is tried alone, since the others could hide it. */
function leaves(expr: Expr): Expr[] {
  if (expr.exprKind.case !== "callExpr") return [expr];
  const call = expr.exprKind.value;
  return ["_&&_", "_||_", "!_"].includes(call.function) ? (call.args as Expr[]).flatMap(leaves) : [expr];
}

/** A mistake of types shows on any facts, so that one sample finds it; a division by zero may be the sample's. */
function typeFlaw(expr: Expr, digestLists: readonly string[]): ConditionFlaw | undefined {
  const digests = new Map(digestLists.map((name) => [name, new Map<string, string>()]));
  const names = entryNamesIn(expr);
  const bindings = bindingsOf(SAMPLE, { xattrs: names, labels: names, headBytes: 0, digests });
  bindTo(bindings, "a", "read");
  const result = planned(expr)({ ...bindings });
  if (isCelError(result)) {
    if (/divi|modul|range|overflow|index/i.test(result.message)) return undefined;
    return {
      exprId: BigInt(result.exprId ?? expr.id),
      message: result.message,
      remedy: "compare values of one type, with functions that take it",
    };
  }
  if (typeof result !== "boolean")
    return { exprId: expr.id, message: "it does not say true or false", remedy: "compare the value with something" };
  return undefined;
}

function entryNamesIn(expr: Expr): string[] {
  const names: string[] = [];
  JSON.stringify(expr, (_key, value: unknown) => {
    if (typeof value === "bigint") return Number(value);
    const constant = value as { case?: string; value?: unknown } | null;
    if (constant?.case === "stringValue" && typeof constant.value === "string") names.push(constant.value);
    const select = value as { field?: string } | null;
    if (typeof select?.field === "string") names.push(select.field);
    return value;
  });
  return names;
}

function parseCondition(text: string): ReturnType<typeof parse> | Flaw {
  // A failure of that is no mistake in the condition.
  prepareCel();
  try {
    return parse(text);
  } catch (error) {
    const { message, location } = error as Error & { location?: { start?: { offset?: number } } };
    return {
      offset: location?.start?.offset ?? 0,
      message: message.replace(/^(?:syntax error )?<input>:\d+:\d+: /, "syntax error: "),
      remedy: "repair the expression",
    };
  }
}

const FIELD_BITS: Readonly<Record<string, number>> = {
  layer: RESOURCE_BIT.layer,
  kind: RESOURCE_BIT.kind,
  size: RESOURCE_BIT.size,
  mode: RESOURCE_BIT.mode,
  uid: RESOURCE_BIT.owner,
  gid: RESOURCE_BIT.owner,
  head: RESOURCE_BIT.content,
  digest: RESOURCE_BIT.digest,
};

function noteOf(facts: ConditionFacts): (lookedAt: LookedAt) => void {
  let subject = 0;
  let resource = 0;
  let once = false;
  for (const name of facts.names) {
    const field = name.startsWith("subject.") ? name.slice("subject.".length) : undefined;
    if (field === undefined) continue;
    const bit = SUBJECT_BIT[field as keyof typeof SUBJECT_BIT] as number | undefined;
    // The pid of another caller says nothing, even where it is the same.
    if (bit === undefined) once = true;
    else subject |= bit;
  }
  for (const field of facts.fields) if (field !== "path") resource |= FIELD_BITS[field] ?? 0;
  const xattrs = [...facts.xattrs];
  const path = facts.fields.has("path");
  const unknown = [...facts.fields].some((field) => field !== "path" && !(field in FIELD_BITS));
  return (lookedAt) => {
    lookedAt.subject(subject);
    lookedAt.resource(resource);
    for (const name of xattrs) lookedAt.xattr(name);
    if (path) lookedAt.thisFileOnly();
    if (once || unknown) lookedAt.once();
  };
}

/** A condition with advice on it, or all that is wrong with it. */
export type CompiledCondition = { condition: Condition; doubts: (rule: PermittingOrDenying) => Flaw[] } | { flaws: Flaw[] };

/** `digestLists`: the names of those that the policy has. */
export function compileCondition(text: string, digestLists: readonly string[]): CompiledCondition {
  const parsed = parseCondition(text);
  if (!("expr" in parsed)) return { flaws: [parsed] };
  const { expr, sourceInfo } = parsed;
  const placed = (found: readonly ConditionFlaw[]): Flaw[] => {
    const positions = (sourceInfo?.positions ?? {}) as Record<string, number>;
    return found.map(({ exprId, message, remedy }) => ({ offset: positions[exprId.toString()] ?? 0, message, remedy }));
  };
  const { facts, flaws } = inspectCondition(expr, digestLists);
  const found = flaws.length > 0 ? flaws : leaves(expr).flatMap((leaf) => typeFlaw(leaf, digestLists) ?? []);
  if (found.length > 0) return { flaws: placed(found) };
  const run = planned(expr);
  const condition: Condition = {
    facts,
    note: noteOf(facts),
    evaluate(bindings) {
      const result = run({ ...bindings });
      return typeof result === "boolean" ? result : undefined;
    },
  };
  return { condition, doubts: (rule) => placed(impossibleCondition(expr, rule)) };
}
