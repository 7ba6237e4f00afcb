/** Prometheus metrics, apart: the library takes as long to load as a mount takes to come up, and most mounts are never scraped. */
export { type DecisionMetrics, decisionMetrics } from "./metrics/decision-metrics.js";
export { Counter, createRegistry, Gauge, Histogram, Registry } from "./metrics/registry.js";
