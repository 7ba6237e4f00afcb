/** Mistakes in a policy: each with its place and what to do. Collected, so that a check names all of them at once. */

export interface PolicyProblem {
  /** If it lies in another file than the one that is checked, such as a part of a chain. */
  file?: string;
  severity: "error" | "warning";
  /** 1-based; 0: about the file as a whole. */
  line: number;
  column: number;
  /** The rule that it is in, if that has a name. */
  rule?: string;
  message: string;
  remedy: string;
}

/** The place of a problem with a file of which nothing could be read. */
export const WHOLE_FILE = { line: 0, column: 0 } as const;

export function isAboutFile({ line }: Pick<PolicyProblem, "line">): boolean {
  return line === WHOLE_FILE.line;
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

/** `FILE:LINE:COLUMN`, or the file alone if the problem is about all of it. `checked` is the file that was checked. */
export function problemPlace(checked: string, problem: PolicyProblem): string {
  const { file = checked, line, column } = problem;
  return isAboutFile(problem) ? file : `${file}:${line}:${column}`;
}

/** `FILE:LINE:COLUMN: rule 'NAME': PROBLEM: REMEDY` */
export function problemLine(checked: string, problem: PolicyProblem): string {
  return `${problemPlace(checked, problem)}: ${problemText(problem)}: ${problem.remedy}`;
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
    // Logs show stacks. Places in the code say nothing about a mistake in a policy.
    this.stack = `${this.name}: ${this.message}`;
  }
}
