/** The fields that the demo takes from `sluice status --json` and `sluice diff --json`. An unknown shape is an error, not a guess. */
import { DemoError } from "./demo-error.js";
import type { PolicyFacts } from "./report.js";

function asRecord(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new DemoError(1, `sluice --json: ${name} is not an object`);
}

function asList(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new DemoError(1, `sluice --json: ${name} is not a list`);
}

function asCounts(value: unknown, name: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [key, count] of Object.entries(asRecord(value, name))) counts[key] = Number(count);
  return counts;
}

/** Of decisions from this source: keys are like "grant/service". */
const fromSource = (counts: Record<string, number>, source: string): number =>
  Object.entries(counts).reduce((sum, [key, count]) => (key.endsWith(`/${source}`) ? sum + count : sum), 0);

/** From keys like "grant" and "grant/service". */
const sumOf = (counts: Record<string, number>, effect: string): number =>
  Object.entries(counts).reduce((sum, [key, count]) => (key === effect || key.startsWith(`${effect}/`) ? sum + count : sum), 0);

export function readPolicyFacts(json: unknown): PolicyFacts {
  const status = asRecord(json, "status");
  const decisions = asCounts(status["decisions"], "decisions");
  const layers = asList(asRecord(status["overlay"], "overlay")["layers"], "layers").map((layer) => asRecord(layer, "layer"));
  return {
    granted: sumOf(decisions, "grant"),
    mediated: sumOf(decisions, "mediate"),
    denied: sumOf(decisions, "deny"),
    asked: fromSource(decisions, "service"),
    target: String(asRecord(status["decider"], "decider")["target"]),
    fallbacks: asCounts(status["fallbacks"], "fallbacks"),
    layers: layers.map((layer) => {
      const passthrough = asRecord(layer["passthrough"], "passthrough");
      return {
        name: String(layer["name"]),
        path: String(layer["path"]),
        passthrough:
          passthrough["eligible"] === true
            ? `passthrough (${String(layer["fileSystem"])})`
            : `no passthrough: ${String(passthrough["reason"])}`,
      };
    }),
  };
}

/** Whether the engine and the kernel agreed on passthrough. */
export function hasPassthrough(json: unknown): boolean {
  return asRecord(asRecord(json, "status")["engine"], "engine")["passthrough"] === true;
}

/** Whether the engine tells times as the layers have them; the portable one rounds them. */
export function hasExactTimes(json: unknown): boolean {
  return asRecord(asRecord(asRecord(json, "status")["engine"], "engine")["limits"], "limits")["nanosecondTimes"] === undefined;
}

/** Counts of changes by kind. */
export function readChanges(json: unknown): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of asList(json, "diff")) {
    const kind = String(asRecord(item, "change")["kind"]);
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
