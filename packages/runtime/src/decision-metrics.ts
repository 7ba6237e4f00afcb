/** The metrics of a decision service. Names and labels are visible to users: extend them, do not rename. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

export interface DecisionMetrics {
  evaluations: Counter<"backend" | "effect" | "rule">;
  evaluationDuration: Histogram<"backend">;
  /** Called before evaluations are reported, by code that collects some before it counts them. */
  beforeTold: Set<() => void>;
  /** 1 for the policy in force; its identity is in the labels. */
  revisionInfo: Gauge<"backend" | "policy" | "sequence" | "digest">;
  reloadFailures: Counter;
  /** 1 while the policy file on disk is invalid and the one before is in force. */
  reloadFailing: Gauge;
  /** 1 while a source that delivers policies answers, 0 while it does not. */
  sourceReachable: Gauge<"source">;
  sourceResets: Counter<"source">;
  /**
   * Events of the decision log: sent, dropped (no room, or refused by the sink), and with sink "-" the events that a rule leaves out.
   */
  logEvents: Counter<"sink" | "result">;
  /** Questions refused, by failure code. */
  refused: Counter<"code">;
  sessions: Gauge;
  /** Cached answers that mounts used again, as they reported them. */
  cacheHits: Counter;
  /** Questions that a candidate policy answered beside the one in force: same, different, failed, skipped. */
  shadowCompared: Counter<"outcome">;
  /** The questions that it decides differently, by both effects. */
  shadowDifferences: Counter<"in_force" | "candidate">;
  /** Questions on the list for a person, and callers that wait for an answer. */
  personQuestions: Gauge<"state">;
  /** Decisions by a person's answer: once, session, always or deny; and timeout if nobody answered. */
  personAnswers: Counter<"answer">;
}

export function decisionMetrics(registry: Registry): DecisionMetrics {
  const registers = [registry];
  return {
    ...ofEvaluations(registers),
    ...placesElsewhere(registers),
    revisionInfo: new Gauge({
      name: "sluice_policy_revision_info",
      help: "The policy in force.",
      labelNames: ["backend", "policy", "sequence", "digest"],
      registers,
    }),
    reloadFailures: new Counter({
      name: "sluice_policy_reload_failures_total",
      help: "Edits of the policy that did not check.",
      registers,
    }),
    reloadFailing: new Gauge({
      name: "sluice_policy_reload_failing",
      help: "1 while the policy on disk is not the one in force.",
      registers,
    }),
    refused: new Counter({
      name: "sluice_questions_refused_total",
      help: "Questions that got no decision.",
      labelNames: ["code"],
      registers,
    }),
    cacheHits: new Counter({
      name: "sluice_cache_hits_reported_total",
      help: "Decisions that mounts gave again from their caches.",
      registers,
    }),
    shadowCompared: new Counter({
      name: "sluice_shadow_comparisons_total",
      help: "Questions for a candidate policy beside the one in force, by outcome: same, different, failed or skipped.",
      labelNames: ["outcome"],
      registers,
    }),
    shadowDifferences: new Counter({
      name: "sluice_shadow_differences_total",
      help: "Questions that a candidate policy decides differently, by the effect in force and the candidate's.",
      labelNames: ["in_force", "candidate"],
      registers,
    }),
    personQuestions: new Gauge({
      name: "sluice_person_questions",
      help: "Questions on the list for a person (open), and callers that wait for an answer (waiting).",
      labelNames: ["state"],
      registers,
    }),
    personAnswers: new Counter({
      name: "sluice_person_answers_total",
      help: "Decisions by the answer of a person: once, session, always or deny; timeout if nobody answered.",
      labelNames: ["answer"],
      registers,
    }),
    sessions: new Gauge({ name: "sluice_decision_sessions", help: "Sessions of mount services open now.", registers }),
  };
}

function ofEvaluations(registers: Registry[]): Pick<DecisionMetrics, "evaluations" | "evaluationDuration" | "beforeTold"> {
  const beforeTold = new Set<() => void>();
  const collect = (): void => {
    for (const publish of beforeTold) publish();
  };
  return {
    beforeTold,
    evaluations: new Counter({
      name: "sluice_evaluations_total",
      help: "Questions answered, by backend, effect and the rule that decided.",
      labelNames: ["backend", "effect", "rule"],
      registers,
      collect,
    }),
    evaluationDuration: new Histogram({
      name: "sluice_evaluation_duration_seconds",
      help: "Time the policy took for one question.",
      labelNames: ["backend"],
      buckets: [0.000001, 0.0000025, 0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1, 1],
      registers,
      collect,
    }),
  };
}

/** The state of the policy's source and of the log's sink. */
function placesElsewhere(registers: Registry[]): Pick<DecisionMetrics, "sourceReachable" | "sourceResets" | "logEvents"> {
  return {
    sourceResets: new Counter({
      name: "sluice_policy_source_resets_total",
      help: "Buckets of policies that were recreated, and count from 1",
      labelNames: ["source"],
      registers,
    }),
    sourceReachable: new Gauge({
      name: "sluice_policy_source_reachable",
      help: "1 while a source that delivers policies can be had, 0 while the last one that it gave is in force without it.",
      labelNames: ["source"],
      registers,
    }),
    logEvents: new Counter({
      name: "sluice_decision_log_events_total",
      help: "Events of the decision log, by sink and outcome: sent, dropped, or left out by a rule.",
      labelNames: ["sink", "result"],
      registers,
    }),
  };
}
