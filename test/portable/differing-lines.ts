/** Differences between two results of one case: by call, or by path of the merged tree or the upper layer. */
import type { CaseOutcome } from "../conformance/expected-outcome.js";

export interface DifferingLine {
  /** "3 stat f", "merged case/f", "upper case/f". */
  line: string;
  expected: string;
  got: string;
}

/** The engine transfers milliseconds (the limit nanosecondTimes): smaller units are not compared. */
export function inMilliseconds(text: string | undefined): string {
  return (text ?? "nothing").replace(/\b(\d+\.\d{3})\d{6}\b/g, "$1");
}

function linesOf(outcome: CaseOutcome): Map<string, string> {
  const lines = new Map(outcome.steps.map(({ call, result }) => [call, JSON.stringify(result)]));
  for (const aspect of ["merged", "upper"] as const) {
    for (const [path, line] of Object.entries(outcome[aspect])) lines.set(`${aspect} ${path}`, JSON.stringify(line));
  }
  return lines;
}

export function differingLines(expected: CaseOutcome, got: CaseOutcome): DifferingLine[] {
  const [wanted, found] = [linesOf(expected), linesOf(got)];
  return [...new Set([...wanted.keys(), ...found.keys()])]
    .map((line) => ({ line, expected: inMilliseconds(wanted.get(line)), got: inMilliseconds(found.get(line)) }))
    .filter(({ expected: one, got: other }) => one !== other);
}
