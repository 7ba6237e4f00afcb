/** The metrics of a mount service. Names and labels are part of what users see: extend them, do not rename. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

const SECONDS_FROM_10_US = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5];

export interface MountMetrics {
  /** source: cache, service, none, stale, outage. */
  decisions: Counter<"effect" | "source">;
  decisionDuration: Histogram;
  fallbacks: Counter<"reason">;
  openFiles: Gauge<"mode">;
  copyUpBytes: Counter;
  copyUpDuration: Histogram;
  requests: Counter<"operation" | "errno">;
  requestDuration: Histogram<"operation">;
  mediatedBytes: Counter<"direction">;
}

export function mountMetrics(registry: Registry): MountMetrics {
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter<Label>({ name, help, labelNames, registers });
  const histogram = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Histogram<Label>({ name, help, labelNames, registers, buckets: SECONDS_FROM_10_US });
  return {
    decisions: counter("sluice_decisions_total", "Decisions enforced, by effect and where the answer came from.", ["effect", "source"]),
    decisionDuration: histogram("sluice_decision_duration_seconds", "Time from question to answer."),
    fallbacks: counter("sluice_passthrough_fallbacks_total", "Granted opens that were mediated all the same.", ["reason"]),
    openFiles: new Gauge({ name: "sluice_open_files", help: "Files open now, by how their I/O flows.", labelNames: ["mode"], registers }),
    copyUpBytes: counter("sluice_copy_up_bytes_total", "Bytes copied to the upper layer."),
    copyUpDuration: histogram("sluice_copy_up_duration_seconds", "Time of one copy-up."),
    requests: counter("sluice_requests_total", "Requests of the kernel, by operation and the errno answered.", ["operation", "errno"]),
    requestDuration: histogram("sluice_request_duration_seconds", "Time from request to reply.", ["operation"]),
    mediatedBytes: counter("sluice_mediated_bytes_total", "Bytes read and written by the daemon for callers.", ["direction"]),
  };
}
