/** Which phases a run measures. */
import { BenchError } from "../bench-error.js";
import { dataPhases } from "./data.js";
import { metadataPhases } from "./metadata.js";
import type { Phase } from "./phase.js";
import { workPhases } from "./work.js";

const ALL: readonly Phase[] = [...metadataPhases, ...dataPhases, ...workPhases];

function matches(pattern: string, { name, group }: Phase): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const expression = new RegExp(`^${parts.join(".*")}$`);
  return expression.test(name) || expression.test(group);
}

/** All without a pattern. @throws BenchError 2 for a pattern nothing matches */
export function choosePhases(patterns: readonly string[]): readonly Phase[] {
  if (patterns.length === 0) return ALL;
  const idle = patterns.find((pattern) => pattern !== "none" && !ALL.some((phase) => matches(pattern, phase)));
  if (idle !== undefined) throw new BenchError(2, `${idle}: no such phase: choose from ${ALL.map(({ name }) => name).join(", ")}`);
  return ALL.filter((phase) => patterns.some((pattern) => matches(pattern, phase)));
}
