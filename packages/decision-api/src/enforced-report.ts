/**
 * A mount's report of the decisions that it enforced without a question, between domain and wire: for people who read a service's
 * console. Nothing is decided by it.
 */
import { type Access, DecisionError, type DecisionSource, type Effect, type Operation } from "./domain.js";
import * as wire from "./gen/sluice/decision/v1/decision.js";
import { ANSWER_LIMITS, REPORT_LIMITS } from "./limits.js";
import { ACCESS_OF, EFFECT_OF, LAST_DATE_MS, OPERATION_OF, WIRE_ACCESS, WIRE_EFFECT, WIRE_OPERATION } from "./wire-names.js";

/** Equal decisions of one second. */
export interface EnforcedDecisions {
  effect: Effect;
  errno: number;
  rule: string;
  reason: string;
  /** Of the answer that was used. */
  decisionId: string;
  source: DecisionSource;
  operation: Operation;
  accesses: readonly Access[];
  /** The file's first name below the mount, as a byte string; truncated to `REPORT_LIMITS.textLength`. */
  path: string;
  uid: number;
  /** Of the newest caller. */
  pid: number;
  /** The executable, as a byte string, or "[NAME]" of the process; "" if it was not read. */
  program: string;
  count: number;
  /** The time of the first one, in milliseconds since 1970. */
  sinceMs: number;
}

/** Decisions beyond the rate at which the mount names them. */
export interface UnnamedDecisions {
  effect: Effect;
  rule: string;
  count: number;
}

export interface EnforcedReport {
  decisions: readonly EnforcedDecisions[];
  unnamed: readonly UnnamedDecisions[];
  /** Decisions of earlier reports that the service did not get. */
  missed: number;
}

const SOURCES: readonly string[] = ["service", "hedge", "cache", "none", "stale", "outage"] satisfies readonly DecisionSource[];

const cut = (text: string, length: number = REPORT_LIMITS.textLength): string => text.slice(0, length);

/** Cut to the limits. */
export function enforcedReportToProto({ decisions, unnamed, missed }: EnforcedReport): wire.EnforcedReport {
  return {
    decisions: decisions
      .slice(0, REPORT_LIMITS.decisions)
      .map(({ effect, operation, accesses, path, program, rule, reason, count, sinceMs, ...each }) => ({
        ...each,
        effect: WIRE_EFFECT[effect],
        operation: WIRE_OPERATION[operation],
        accesses: accesses.map((access) => WIRE_ACCESS[access]),
        path: Buffer.from(cut(path), "latin1"),
        program: cut(program),
        rule: cut(rule, ANSWER_LIMITS.nameLength),
        reason: cut(reason),
        count: BigInt(count),
        sinceMs: BigInt(Math.trunc(sinceMs)),
      })),
    unnamed: unnamed.slice(0, REPORT_LIMITS.decisions).map(({ effect, rule, count }) => {
      return { effect: WIRE_EFFECT[effect], rule: cut(rule, ANSWER_LIMITS.nameLength), count: BigInt(count) };
    }),
    missed: BigInt(missed),
  };
}

const isCount = (count: bigint): boolean => count <= BigInt(Number.MAX_SAFE_INTEGER);

function withinLimits({ decisions, unnamed, missed }: wire.EnforcedReport): boolean {
  return (
    decisions.length <= REPORT_LIMITS.decisions &&
    unnamed.length <= REPORT_LIMITS.decisions &&
    isCount(missed) &&
    unnamed.every(({ rule, count }) => rule.length <= ANSWER_LIMITS.nameLength && isCount(count)) &&
    decisions.every(({ path, accesses, count, sinceMs, ...each }) => {
      const texts = [each.rule, each.reason, each.decisionId, each.program];
      const bounded = texts.every((text) => text.length <= REPORT_LIMITS.textLength) && path.length <= REPORT_LIMITS.textLength;
      return bounded && accesses.length <= ACCESS_OF.size && isCount(count) && sinceMs <= LAST_DATE_MS;
    })
  );
}

function decisionsFromProto({
  effect,
  operation,
  accesses,
  path,
  source,
  count,
  sinceMs,
  ...each
}: wire.EnforcedDecisions): EnforcedDecisions {
  return {
    ...each,
    effect: EFFECT_OF.get(effect) ?? "deny",
    operation: OPERATION_OF.get(operation) ?? "open",
    accesses: accesses.flatMap((access) => ACCESS_OF.get(access) ?? []),
    path: path.toString("latin1"),
    source: SOURCES.includes(source) ? (source as DecisionSource) : "cache",
    count: Number(count),
    sinceMs: Number(sinceMs),
  };
}

/** Throws `DecisionError` "malformed" if it exceeds the limits. */
export function enforcedReportFromProto(report: wire.EnforcedReport): EnforcedReport {
  if (!withinLimits(report)) throw new DecisionError("malformed", "report of enforced decisions is larger than the contract allows");
  return {
    decisions: report.decisions.map(decisionsFromProto),
    unnamed: report.unnamed.map(({ effect, rule, count }) => ({ effect: EFFECT_OF.get(effect) ?? "deny", rule, count: Number(count) })),
    missed: Number(report.missed),
  };
}
