/**
 * Looks over a condition's syntax tree before it may be used: which facts it reads, and everything in it that cannot
 * hold or that the choice of file names could make expensive. Sees names, not types: those are tried in condition.ts.
 */
import type { parse } from "@bufbuild/cel";
import { CONDITION_FUNCTIONS, PLAIN_FACTS, RESOURCE_FACTS, SUBJECT_FACTS } from "./condition-facts.js";

type ParsedExpr = ReturnType<typeof parse>;
export type Expr = ParsedExpr["expr"];

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  subject: Object.keys(SUBJECT_FACTS),
  resource: Object.keys(RESOURCE_FACTS),
};
const PLAIN = Object.keys(PLAIN_FACTS);
/** Lists of digests, as the policy names them. */
const DIGESTS = "digests";
/** Stands for a use of the value of `resource.xattr['x']`: an attribute that a file lacks reads as "". */
export const XATTR_OR_EMPTY = "@xattrOrEmpty";
/** The same of `resource.label['x']`. */
export const LABEL_OR_EMPTY = "@labelOrEmpty";

/** Fields of `resource` that are maps: the name under which an absent value reads as "", and an entry in words. */
const MAPS = {
  xattr: { orEmpty: XATTR_OR_EMPTY, entry: "an extended attribute", example: "resource.xattr['user.NAME']" },
  label: { orEmpty: LABEL_OR_EMPTY, entry: "a label", example: "resource.label['NAME']" },
} as const;
type MapName = keyof typeof MAPS;

const OPERATORS = [
  "_&&_",
  "_||_",
  "!_",
  "_==_",
  "_!=_",
  "_<_",
  "_<=_",
  "_>_",
  "_>=_",
  "_+_",
  "_-_",
  "-_",
  "_*_",
  "_/_",
  "_%_",
  "_[_]",
  "_?_:_",
  "@in",
];
const INTERNAL = ["@not_strictly_false"];

export interface ConditionFlaw {
  exprId: bigint;
  message: string;
  remedy: string;
}

/** Facts that a rule may read and that can be missing, as named in `MissingFact`. */
export class ConditionFacts {
  readonly names = new Set<string>();
  readonly xattrs = new Set<string>();
  /** Labels of the mount: the same for each question of it. A mount always says them. */
  readonly labels = new Set<string>();
  /** Fields of `resource` that it reads, besides extended attributes; except the content's these are always there. */
  readonly fields = new Set<string>();
}

/** Fields of `resource` that are read only for a policy that wants them. */
const CONTENT = ["head", "digest"];

export interface Inspection {
  facts: ConditionFacts;
  /** Lists of digests that the policy has. */
  digestLists: readonly string[];
  flaws: ConditionFlaw[];
}

interface Scope {
  /** Names bound by exists(), all(), … around this place. */
  bound: ReadonlySet<string>;
  comprehensions: number;
}

/**
 * Also rewrites reads of extended attributes and labels to XATTR_OR_EMPTY and LABEL_OR_EMPTY: a file without the attribute then compares unequal,
 * instead of making the whole condition fail; `has()` and `in` still see that it has none.
 */
export function inspectCondition(expr: Expr, digestLists: readonly string[]): Inspection {
  const inspection: Inspection = { facts: new ConditionFacts(), digestLists, flaws: [] };
  visit(expr, { bound: new Set(), comprehensions: 0 }, inspection);
  return inspection;
}

function flaw(into: Inspection, expr: Expr, words: { message: string; remedy: string }): void {
  into.flaws.push({ exprId: expr.id, ...words });
}

function visit(expr: Expr | undefined, scope: Scope, into: Inspection): void {
  if (expr === undefined) return;
  const kind = expr.exprKind;
  switch (kind.case) {
    case "identExpr":
      visitIdentifier(expr, kind.value.name, { scope, into });
      return;
    case "selectExpr":
      if (!visitFact(expr, scope, into)) visit(kind.value.operand, scope, into);
      return;
    case "callExpr":
      visitCall(expr, scope, into);
      return;
    case "listExpr":
      for (const element of kind.value.elements) visit(element, scope, into);
      return;
    case "structExpr":
      flaw(into, expr, { message: "maps and messages cannot be built in a condition", remedy: "write a list, or compare field by field" });
      return;
    case "comprehensionExpr":
      visitComprehension(expr, scope, into);
      return;
    case "constExpr":
    case undefined:
      return;
  }
}

function visitIdentifier(expr: Expr, name: string, { scope, into }: { scope: Scope; into: Inspection }): void {
  if (scope.bound.has(name) || PLAIN.includes(name)) return;
  if (name === DIGESTS) {
    flaw(into, expr, { message: `'${DIGESTS}' is used otherwise than to look one up`, remedy: `write resource.digest in ${DIGESTS}.NAME` });
    return;
  }
  if (name in FIELDS) {
    flaw(into, expr, {
      message: `'${name}' is used as a whole`,
      remedy: `name a field: ${(FIELDS[name] as readonly string[]).map((field) => `${name}.${field}`).join(", ")}`,
    });
    return;
  }
  flaw(into, expr, { message: `'${name}' is not known`, remedy: "use subject.…, resource.…, access or operation" });
}

/** True where the expression is `subject.x`, `resource.x`, `resource.xattr.x` or `resource.label.x`: those are facts and need no further look. */
function visitFact(expr: Expr, scope: Scope, into: Inspection): boolean {
  if (expr.exprKind.case !== "selectExpr") return false;
  const select = expr.exprKind.value;
  const map = mapOf(select.operand);
  if (map !== undefined) {
    readEntry(map, select.field, into);
    if (!select.testOnly) renameToDefault(select.operand as Expr, map);
    return true;
  }
  const owner = select.operand?.exprKind.case === "identExpr" ? select.operand.exprKind.value.name : undefined;
  const fields = owner === undefined || scope.bound.has(owner) ? undefined : FIELDS[owner];
  if (owner === undefined || fields === undefined) return false;
  if (!fields.includes(select.field)) {
    flaw(into, expr, {
      message: `'${owner}.${select.field}' is not known`,
      remedy: `use one of ${fields.map((field) => `${owner}.${field}`).join(", ")}`,
    });
  } else if (owner === "resource" && isMapName(select.field)) {
    const { example } = MAPS[select.field];
    flaw(into, expr, { message: `'resource.${select.field}' is used as a whole`, remedy: `name the entry: ${example}` });
  } else if (owner === "subject") {
    into.facts.names.add(`subject.${select.field}`);
  } else {
    into.facts.fields.add(select.field);
    if (CONTENT.includes(select.field)) into.facts.names.add(`resource.${select.field}`);
  }
  return true;
}

function isMapName(field: string): field is MapName {
  return Object.hasOwn(MAPS, field);
}

/** The map that the expression is; undefined for anything else. */
function mapOf(expr: Expr | undefined): MapName | undefined {
  if (expr?.exprKind.case !== "selectExpr") return undefined;
  const { field, operand } = expr.exprKind.value;
  const owner = operand?.exprKind;
  if (owner?.case !== "identExpr" || owner.value.name !== "resource") return undefined;
  return (["xattr", "label"] as const).find((name) => field === name || field === MAPS[name].orEmpty);
}

function renameToDefault(expr: Expr, map: MapName): void {
  if (expr.exprKind.case === "selectExpr") expr.exprKind.value.field = MAPS[map].orEmpty;
}

function readEntry(map: MapName, name: string, into: Inspection): void {
  if (map === "label") {
    into.facts.labels.add(name);
    return;
  }
  into.facts.xattrs.add(name);
  into.facts.names.add(`resource.xattr.${name}`);
}

function literal(expr: Expr | undefined): string | undefined {
  const constant = expr?.exprKind.case === "constExpr" ? expr.exprKind.value.constantKind : undefined;
  return constant?.case === "stringValue" ? constant.value : undefined;
}

/** `resource.xattr['NAME']` or `resource.label['NAME']` as text; undefined for anything else. */
export function entryText(expr: Expr): string | undefined {
  const call = expr.exprKind.case === "callExpr" ? expr.exprKind.value : undefined;
  const [operand, key] = call?.function === "_[_]" ? call.args : [];
  const [map, name] = [mapOf(operand), literal(key)];
  return map === undefined || name === undefined ? undefined : `resource.${map}['${name}']`;
}

function visitEntryCall(expr: Expr, into: Inspection): boolean {
  if (expr.exprKind.case !== "callExpr") return false;
  const { function: name, args } = expr.exprKind.value;
  const [operand, key] = name === "_[_]" ? args : name === "@in" ? [args[1], args[0]] : [];
  const map = mapOf(operand);
  if (map === undefined) return false;
  const entry = literal(key);
  if (entry === undefined) {
    flaw(into, expr, {
      message: `the name of ${MAPS[map].entry} is computed`,
      remedy: "write it as a string: only named ones are read",
    });
    return true;
  }
  readEntry(map, entry, into);
  if (name === "_[_]") renameToDefault(operand as Expr, map);
  return true;
}

/** `VALUE in digests.NAME`, the only way to a list: looking one up costs the same however long it is. */
function visitDigestLookup(expr: Expr, scope: Scope, into: Inspection): boolean {
  if (expr.exprKind.case !== "callExpr" || expr.exprKind.value.function !== "@in" || scope.bound.has(DIGESTS)) return false;
  const [value, list] = expr.exprKind.value.args;
  if (list?.exprKind.case !== "selectExpr") return false;
  const { operand, field } = list.exprKind.value;
  if (operand?.exprKind.case !== "identExpr" || operand.exprKind.value.name !== DIGESTS) return false;
  if (!into.digestLists.includes(field)) {
    const known = into.digestLists.map((name) => `${DIGESTS}.${name}`).join(", ");
    flaw(into, list, {
      message: `'${DIGESTS}.${field}' is not known`,
      remedy: known === "" ? `name its file at the top of the policy: ${DIGESTS}: { ${field}: FILE }` : `use one of ${known}`,
    });
  }
  visit(value, scope, into);
  return true;
}

function visitCall(expr: Expr, scope: Scope, into: Inspection): void {
  if (expr.exprKind.case !== "callExpr" || visitEntryCall(expr, into) || visitDigestLookup(expr, scope, into)) return;
  const { function: name, args, target } = expr.exprKind.value;
  if (!OPERATORS.includes(name) && !CONDITION_FUNCTIONS.includes(name) && !INTERNAL.includes(name)) {
    flaw(into, expr, { message: `function '${name}' is not known`, remedy: `use one of ${CONDITION_FUNCTIONS.join(", ")}` });
  }
  if (name === "matches" && literal(args.at(-1)) === undefined) {
    flaw(into, expr, { message: "the pattern of matches() is computed", remedy: "write it as a string: names are chosen by others" });
  }
  visit(target, scope, into);
  for (const arg of args) visit(arg, scope, into);
}

function visitComprehension(expr: Expr, scope: Scope, into: Inspection): void {
  if (expr.exprKind.case !== "comprehensionExpr") return;
  const loop = expr.exprKind.value;
  if (scope.comprehensions > 0) {
    flaw(into, expr, {
      message: "a loop stands inside another",
      remedy: "write the condition without the inner one: its cost would multiply",
    });
  }
  const inner: Scope = {
    bound: new Set([...scope.bound, loop.iterVar, loop.iterVar2, loop.accuVar]),
    comprehensions: scope.comprehensions + 1,
  };
  visit(loop.iterRange, inner, into);
  visit(loop.accuInit, scope, into);
  for (const part of [loop.loopCondition, loop.loopStep, loop.result]) visit(part, inner, into);
}
