/** What the mount service counts: one place for the numbers of /metrics and of `sluice status`. Logs nothing. */
import type { Decision } from "@sluice/decision-api";
import type { FallbackReason, Flow } from "@sluice/overlay";
import { errnoName } from "@sluice/vfs";
import { CountBy, DurationSeries, type HotMetric, type MetricValue, readMetric } from "./hot-metrics.js";

interface OperationCounts {
  readonly byErrno: Map<number, number>;
  readonly durations: DurationSeries;
}

export class MountTelemetry {
  readonly decisions = new CountBy<`${string}/${string}`>();
  readonly fallbacks = new CountBy<FallbackReason>();
  readonly openFiles = new CountBy<Flow>();
  readonly mediatedBytes = new CountBy<"read" | "write">();
  readonly startedMs = Date.now();
  anomalies = 0;
  copyUps = 0;
  copyUpBytes = 0;
  readonly #copyUpDurations = new DurationSeries();
  readonly #decisionDurations = new DurationSeries();
  readonly #operations = new Map<string, OperationCounts>();

  request(operation: string, errno: number, durationMs: number): void {
    let counts = this.#operations.get(operation);
    if (counts === undefined) {
      counts = { byErrno: new Map(), durations: new DurationSeries() };
      this.#operations.set(operation, counts);
    }
    counts.byErrno.set(errno, (counts.byErrno.get(errno) ?? 0) + 1);
    counts.durations.observe(durationMs);
  }

  decided(decision: Decision, durationMs: number): void {
    this.decisions.add(`${decision.effect}/${decision.source}`);
    this.#decisionDurations.observe(durationMs);
  }

  copyUp(bytes: number, durationMs: number): void {
    this.copyUps++;
    this.copyUpBytes += bytes;
    this.#copyUpDurations.observe(durationMs);
  }

  metrics(): HotMetric[] {
    const counter = (name: string, help: string, values: () => Iterable<MetricValue>): HotMetric =>
      readMetric(name, help, "counter", values);
    const gauge = (name: string, help: string, values: () => Iterable<MetricValue>): HotMetric => readMetric(name, help, "gauge", values);
    return [
      counter("sluice_decisions_total", "Decisions enforced, by effect and where they came from", () => this.#decisionValues()),
      counter("sluice_passthrough_fallbacks_total", "Granted opens that were mediated all the same", () =>
        byLabel("reason", this.fallbacks),
      ),
      gauge("sluice_open_files", "Open files by the way their I/O flows", () => byLabel("mode", this.openFiles)),
      counter("sluice_mediated_bytes_total", "Bytes read and written by the daemon itself", () => byLabel("direction", this.mediatedBytes)),
      counter("sluice_copy_up_bytes_total", "Bytes copied up", () => [{ labels: {}, value: this.copyUpBytes }]),
      counter("sluice_anomalies_total", "What should not have happened and was survived", () => [{ labels: {}, value: this.anomalies }]),
      counter("sluice_requests_total", "Requests of the kernel", () => this.#requestValues()),
      histogram("sluice_copy_up_duration_seconds", "Time of a copy-up", this.#copyUpDurations),
      histogram("sluice_decision_duration_seconds", "Time from question to ruling", this.#decisionDurations),
      readMetric("sluice_request_duration_seconds", "Time of a request in the daemon", "histogram", () => this.#durationValues()),
    ];
  }

  *#decisionValues(): Iterable<MetricValue> {
    for (const [key, value] of this.decisions.entries()) {
      const [effect = "", source = ""] = key.split("/");
      yield { labels: { effect, source }, value };
    }
  }

  *#requestValues(): Iterable<MetricValue> {
    for (const [operation, counts] of this.#operations) {
      for (const [errno, value] of counts.byErrno) yield { labels: { operation, errno: errno === 0 ? "OK" : errnoName(errno) }, value };
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
