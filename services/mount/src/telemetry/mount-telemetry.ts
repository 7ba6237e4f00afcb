/** All counters of the mount service, for /metrics and `sluice status`. It logs nothing. */
import type { DurationCounts, RevokedCounts } from "@sluice/mount-control";
import type { CacheStatus, Decision, Effect } from "@sluice/decision-api";
import type { FallbackReason, Flow } from "@sluice/overlay";
import { Errno, errnoName } from "@sluice/vfs";
import { Activity } from "./activity.js";
import type { ActivityRecord } from "./activity-record.js";
import { DecisionTally } from "./decision-tally.js";
import { LastMinute } from "./last-minute.js";
import { CountBy, DurationSeries, type HotMetric, type MetricValue, readMetric } from "./hot-metrics.js";

/**
 * Answers that are no errors for a person: a name or an attribute that does not exist, and an open that the kernel repeats under another
 * nodeId. The metrics count them by their errno.
 */
const USUAL_ANSWERS: Readonly<Record<string, readonly number[]>> = {
  LOOKUP: [Errno.ENOENT],
  GETXATTR: [Errno.ENODATA],
  OPEN: [Errno.ESTALE],
};

interface OperationCounts {
  succeeded: number;
  /** Of failed requests. */
  readonly byErrno: Map<number, number>;
  readonly durations: DurationSeries;
}

export class MountTelemetry {
  readonly decisions = new CountBy<`${string}/${string}`>();
  readonly fallbacks = new CountBy<FallbackReason>();
  readonly openFiles = new CountBy<Flow>();
  readonly mediatedBytes = new CountBy<"read" | "write">();
  readonly activity = new Activity();
  readonly tally = new DecisionTally();
  readonly denials = new LastMinute();
  /** Undefined unless the mount writes its activity to a file. */
  record: ActivityRecord | undefined = undefined;
  readonly startedMs = Date.now();
  /** Of the decider; the setup of the mount sets it. */
  cacheStatus: () => CacheStatus | undefined = () => undefined;
  /** Of the engine; the setup of the mount sets it. Milliseconds. */
  idlePolledMs: () => number = () => 0;
  /** Opens that wait for a person, and those that were denied since too many waited. */
  people: () => { waiting: number; crowdedOut: number } = () => ({ waiting: 0, crowdedOut: 0 });
  /** Requests in the kernel's queue, undefined if it does not tell, and those that wait in the daemon. */
  waiting: () => { kernel: number | undefined; daemon: number } = () => ({ kernel: undefined, daemon: 0 });
  revoked: () => RevokedCounts = () => ({ passing: 0, refused: 0 });
  anomalies = 0;
  /** How many servers of this mount died before this one. */
  restarts = 0;
  /** How long this server took to restore the state of the one before, in milliseconds. */
  restoredInMs: number | undefined;
  copyUps = 0;
  copyUpBytes = 0;
  readonly #copyUpDurations = new DurationSeries();
  readonly #decisionDurations = new DurationSeries();
  readonly #recalled: Record<Effect, number> = { grant: 0, mediate: 0, ask: 0, deny: 0 };
  readonly #operations = new Map<string, OperationCounts>();

  request(operation: string, errno: number, durationUs: number): void {
    let counts = this.#operations.get(operation);
    if (counts === undefined) {
      counts = { succeeded: 0, byErrno: new Map(), durations: new DurationSeries() };
      this.#operations.set(operation, counts);
    }
    if (errno === 0) counts.succeeded++;
    else counts.byErrno.set(errno, (counts.byErrno.get(errno) ?? 0) + 1);
    counts.durations.observeUs(durationUs);
  }

  decided(decision: Decision, durationMs: number): void {
    this.activity.ruled(decision);
    if (decision.effect === "deny") this.denials.add(Date.now());
    this.decisions.add(`${decision.effect}/${decision.source}`);
    this.#decisionDurations.observe(durationMs);
  }

  /** A cached answer was enforced. Nobody waited for it, so the durations count only questions to the service. */
  recalled(decision: Decision): void {
    const { effect, source } = decision;
    this.activity.ruled(decision);
    if (effect === "deny") this.denials.add(Date.now());
    if (source === "cache") this.#recalled[effect]++;
    else this.decisions.add(`${effect}/${source}`);
  }

  copyUp(bytes: number, durationMs: number): void {
    this.copyUps++;
    this.copyUpBytes += bytes;
    this.#copyUpDurations.observe(durationMs);
  }

  /** Requests by operation: errors and durations. */
  requests(): Record<string, { errors: number; durations: DurationCounts }> {
    const all = [...this.#operations].map(([operation, { succeeded, byErrno, durations }]) => {
      const taken = durations.snapshot();
      const usual = USUAL_ANSWERS[operation] ?? [];
      const errors = usual.reduce((left, errno) => left - (byErrno.get(errno) ?? 0), taken.count - succeeded);
      return [operation, { errors, durations: taken }] as const;
    });
    return Object.fromEntries(all);
  }

  /** The longest request of each operation since the call before. */
  takeWorstMs(): Record<string, number> {
    const worst = [...this.#operations].map(([operation, { durations }]) => [operation, durations.takeWorstMs()] as const);
    return Object.fromEntries(worst.filter(([, ms]) => ms > 0));
  }

  decisionDurations(): DurationCounts {
    return this.#decisionDurations.snapshot();
  }

  metrics(): HotMetric[] {
    const counter = (name: string, help: string, values: () => Iterable<MetricValue>): HotMetric =>
      readMetric(name, help, "counter", values);
    const gauge = (name: string, help: string, values: () => Iterable<MetricValue>): HotMetric => readMetric(name, help, "gauge", values);
    return [
      counter("sluice_decisions_total", "Decisions enforced, by effect and source", () => this.#decisionValues()),
      counter("sluice_rule_decisions_total", "Decisions enforced, by rule and effect, cached answers included", () => this.#ruleValues()),
      counter("sluice_unnamed_denials_total", "Denials that reports count without path and caller, since they were too many", () => [
        { labels: {}, value: this.tally.deniedUnnamed },
      ]),
      counter("sluice_passthrough_fallbacks_total", "Granted opens that were mediated", () => byLabel("reason", this.fallbacks)),
      gauge("sluice_open_files", "Open files by the way their I/O flows", () => byLabel("mode", this.openFiles)),
      gauge("sluice_revoked_opens", "Open files that the policy in force would not give any more", () =>
        Object.entries(this.revoked()).map(([how, value]) => ({ labels: { how }, value })),
      ),
      counter("sluice_mediated_bytes_total", "Bytes read and written by the daemon itself", () => byLabel("direction", this.mediatedBytes)),
      counter("sluice_copy_up_bytes_total", "Bytes copied up", () => [{ labels: {}, value: this.copyUpBytes }]),
      counter("sluice_anomalies_total", "Unexpected events that the mount survived", () => [{ labels: {}, value: this.anomalies }]),
      counter("sluice_server_restarts_total", "Servers of this mount that died and were replaced", () => [
        { labels: {}, value: this.restarts },
      ]),
      counter("sluice_idle_polling_seconds_total", "Time in which idle processors polled for this mount's requests", () => [
        { labels: {}, value: this.idlePolledMs() / 1000 },
      ]),
      gauge("sluice_waiting_requests", "Requests in the kernel's queue with those being served, and those that wait in the daemon", () =>
        Object.entries(this.waiting()).flatMap(([place, value]) => (value === undefined ? [] : [{ labels: { place }, value }])),
      ),
      counter("sluice_requests_total", "Requests of the kernel", () => this.#requestValues()),
      histogram("sluice_copy_up_duration_seconds", "Time of a copy-up", this.#copyUpDurations),
      histogram("sluice_decision_duration_seconds", "Time from question to ruling", this.#decisionDurations),
      readMetric("sluice_request_duration_seconds", "Time of a request in the daemon", "histogram", () => this.#durationValues()),
      ...this.#cacheMetrics(),
      ...this.#personMetrics(),
    ];
  }

  /** All decisions by "effect/source", including cached ones. */
  allDecisions(): Record<string, number> {
    const all = this.decisions.toObject();
    for (const [effect, count] of Object.entries(this.#recalled))
      if (count > 0) all[`${effect}/cache`] = (all[`${effect}/cache`] ?? 0) + count;
    return all;
  }

  /** For a scrape. */
  #cacheMetrics(): HotMetric[] {
    const value = (name: keyof CacheStatus): (() => MetricValue[]) => {
      return () => [{ labels: {}, value: this.cacheStatus()?.[name] ?? 0 }];
    };
    return [
      readMetric("sluice_decision_cache_entries", "Cached answers now", "gauge", value("entries")),
      readMetric("sluice_decision_cache_bytes", "What they take, estimated", "gauge", value("bytes")),
      readMetric("sluice_decision_cache_hits_total", "Cached answers that were given again", "counter", value("hits")),
      readMetric("sluice_decision_cache_misses_total", "Questions that no cached answer held for", "counter", value("misses")),
      readMetric("sluice_decision_cache_uncacheable_total", "Answers that could not be cached", "counter", value("uncacheable")),
      readMetric("sluice_decision_cache_evictions_total", "Cached answers dropped for lack of room", "counter", value("evictions")),
      readMetric("sluice_decision_cache_invalidations_total", "Times that cached answers were dropped", "counter", value("invalidations")),
    ];
  }

  #personMetrics(): HotMetric[] {
    const value = (name: "waiting" | "crowdedOut") => (): MetricValue[] => [{ labels: {}, value: this.people()[name] }];
    return [
      readMetric("sluice_person_waits", "Opens that wait for a person now", "gauge", value("waiting")),
      readMetric("sluice_person_waits_refused_total", "Opens denied since too many waited for a person", "counter", value("crowdedOut")),
    ];
  }

  *#decisionValues(): Iterable<MetricValue> {
    for (const [key, value] of Object.entries(this.allDecisions())) {
      const [effect = "", source = ""] = key.split("/");
      yield { labels: { effect, source }, value };
    }
  }

  *#ruleValues(): Iterable<MetricValue> {
    for (const [rule, counts] of this.activity.rules())
      for (const [effect, value] of Object.entries(counts)) if (value > 0) yield { labels: { rule, effect }, value };
  }

  *#requestValues(): Iterable<MetricValue> {
    for (const [operation, counts] of this.#operations) {
      if (counts.succeeded > 0) yield { labels: { operation, errno: "OK" }, value: counts.succeeded };
      for (const [errno, value] of counts.byErrno) yield { labels: { operation, errno: errnoName(errno) }, value };
    }
  }

  *#durationValues(): Iterable<MetricValue> {
    for (const [operation, counts] of this.#operations) yield* counts.durations.values("sluice_request_duration_seconds", { operation });
  }
}

function* byLabel(label: string, counts: CountBy<string>): Iterable<MetricValue> {
  for (const [key, value] of counts.entries()) yield { labels: { [label]: key }, value };
}

function histogram(name: string, help: string, series: DurationSeries): HotMetric {
  return readMetric(name, help, "histogram", () => series.values(name, {}));
}
