/** Mistakes in a policy: each with its place and what to do. Collected, so that a check names all of them at once. */

export interface PolicyProblem {
  severity: "error" | "warning";
  /** 1-based. */
  line: number;
  column: number;
  /** The rule that it is in, if that has a name. */
  rule?: string;
  message: string;
  remedy: string;
}

/** The order of the file. */
export function byPlace(one: PolicyProblem, other: PolicyProblem): number {
  return one.line - other.line || one.column - other.column;
}

/** The name of the rule that `path` leads into, for a problem. A rule that was made up for a check has none. */
export function ruleAt(document: unknown, path: readonly PropertyKey[]): Pick<PolicyProblem, "rule"> {
  const [key, index] = path;
  if (key !== "rules" || typeof index !== "number") return {};
  const rules = (document as { rules?: unknown } | null)?.rules;
  const name: unknown = Array.isArray(rules) ? (rules as ({ name?: unknown } | null)[])[index]?.name : undefined;
  return typeof name === "string" && name !== "" && !name.startsWith("\0") ? { rule: name.slice(0, 100) } : {};
}

/** `rule 'NAME': PROBLEM` */
export function problemText({ rule, message }: Pick<PolicyProblem, "rule" | "message">): string {
  return rule === undefined ? message : `rule '${rule}': ${message}`;
}

/** `FILE:LINE:COLUMN: rule 'NAME': PROBLEM: REMEDY` */
export function problemLine(file: string, problem: PolicyProblem): string {
  return `${file}:${problem.line}:${problem.column}: ${problemText(problem)}: ${problem.remedy}`;
}

/** A policy that does not check. The message is the first mistake, and how many more there are. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
  constructor(
    readonly file: string,
    /** Warnings too. */
    readonly problems: readonly PolicyProblem[],
    options?: ErrorOptions,
  ) {
    const errors = problems.filter((problem) => problem.severity === "error");
    const first = errors[0];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
    super(first === undefined ? `${file}: policy does not check` : problemLine(file, first) + more, options);
  }
}

/** The word of `known` that `word` may be a slip of; undefined if none is near. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Letters to change, add, drop or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8 || a.length > 64) return 99;
  const rows = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  const cell = (i: number, j: number): number => rows[i]?.[j] as number;
  for (let i = 1; i <= a.length; i++) {
    rows[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      let least = Math.min(cell(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1), cell(i - 1, j) + 1, cell(i, j - 1) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, cell(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = least;
    }
  }
  return cell(a.length, b.length);
}
