/** The comparisons of facts with constants in a condition, such as `subject.uid == 5` and `access in ['read']`. */
import { PLAIN_FACTS, RESOURCE_FACTS, SUBJECT_FACTS } from "../condition-facts.js";
import { entryText, type Expr } from "../condition-check.js";

export type Value = string | bigint;

export interface Comparison {
  exprId: bigint;
  /** As it is written: subject.uid. */
  fact: string;
  values: readonly Value[];
  /** It holds for nothing but (some of) its values. */
  only: boolean;
  /** It compares for equality, so a value of another kind is a mistake. */
  equality: boolean;
  holds(value: Value): boolean;
  /** The beginning that it demands. */
  beginning?: string;
}

type Test = (value: Value, constant: Value) => boolean;
const TESTS: Readonly<Record<string, Test>> = {
  "_==_": (value, constant) => value === constant,
  "_!=_": (value, constant) => value !== constant,
  "_<_": (value, constant) => value < constant,
  "_<=_": (value, constant) => value <= constant,
  "_>_": (value, constant) => value > constant,
  "_>=_": (value, constant) => value >= constant,
};
const MIRRORED: Readonly<Record<string, string>> = { "_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_" };
const NEGATED: Readonly<Record<string, string>> = {
  "_==_": "_!=_",
  "_!=_": "_==_",
  "_<_": "_>=_",
  "_<=_": "_>_",
  "_>_": "_<=_",
  "_>=_": "_<_",
};

const FACT_TYPES: ReadonlyMap<string, string> = new Map([
  ...Object.entries(SUBJECT_FACTS).map(([name, { type }]) => [`subject.${name}`, type] as const),
  ...Object.entries(RESOURCE_FACTS).map(([name, { type }]) => [`resource.${name}`, type] as const),
  ...Object.entries(PLAIN_FACTS).map(([name, { type }]) => [name, type] as const),
]);

/** The kind of values that a fact has; undefined for a list. */
export function valuesOf(fact: string): "bigint" | "string" | undefined {
  const type = FACT_TYPES.get(fact);
  if (type === "int") return "bigint";
  return type === "string" || type === undefined ? "string" : undefined;
}

function factOf(expr: Expr | undefined): string | undefined {
  const kind = expr?.exprKind;
  if (kind?.case === "identExpr") return kind.value.name in PLAIN_FACTS ? kind.value.name : undefined;
  if (kind?.case === "callExpr") return entryText(expr as Expr);
  if (kind?.case !== "selectExpr" || kind.value.testOnly) return undefined;
  const owner = kind.value.operand?.exprKind;
  const fact = owner?.case === "identExpr" ? `${owner.value.name}.${kind.value.field}` : "";
  return FACT_TYPES.has(fact) ? fact : undefined;
}

function constantOf(expr: Expr | undefined): Value | undefined {
  const constant = expr?.exprKind.case === "constExpr" ? expr.exprKind.value.constantKind : undefined;
  return constant?.case === "stringValue" || constant?.case === "int64Value" ? constant.value : undefined;
}

function constantsOf(expr: Expr | undefined): readonly Value[] | undefined {
  const list = expr?.exprKind;
  if (list?.case !== "listExpr") return undefined;
  const values = list.value.elements.map(constantOf);
  return values.every((value) => value !== undefined) ? values : undefined;
}

type Operands = readonly [Expr | undefined, Expr | undefined];

function compared(exprId: bigint, operator: string, [left, right]: Operands): Comparison | undefined {
  const fact = factOf(left);
  const value = constantOf(right);
  const test = TESTS[operator];
  if (fact === undefined || value === undefined || test === undefined) return undefined;
  const holds = (each: Value): boolean => typeof each === typeof value && test(each, value);
  const unequal = operator === "_!=_";
  return {
    exprId,
    fact,
    values: [value],
    only: operator === "_==_",
    equality: unequal || operator === "_==_",
    holds: unequal ? (each) => each !== value : holds,
  };
}

/** `negated`: of the expression's opposite. Undefined if it is anything but a comparison of a fact with constants. */
export function comparisonOf(expr: Expr, negated = false): Comparison | undefined {
  if (expr.exprKind.case !== "callExpr") return undefined;
  const { function: name, args, target } = expr.exprKind.value;
  const [first, second] = args as [Expr | undefined, Expr | undefined];
  if (name in TESTS) {
    const operator = negated ? (NEGATED[name] as string) : name;
    return compared(expr.id, operator, [first, second]) ?? compared(expr.id, MIRRORED[operator] ?? operator, [second, first]);
  }
  const fact = factOf(name === "@in" ? first : target);
  if (fact === undefined) return undefined;
  if (name === "@in") {
    const values = constantsOf(second);
    return (
      values && { exprId: expr.id, fact, values, only: !negated, equality: true, holds: (value) => values.includes(value) !== negated }
    );
  }
  const beginning = name === "startsWith" ? constantOf(first) : undefined;
  if (typeof beginning !== "string") return undefined;
  const holds = (value: Value): boolean => String(value).startsWith(beginning) !== negated;
  return { exprId: expr.id, fact, values: [], only: false, equality: false, holds, ...(negated ? {} : { beginning }) };
}
