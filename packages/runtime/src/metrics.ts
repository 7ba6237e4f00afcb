/**
 * Prometheus metrics, in a module of their own: the library loads as long as a mount takes to start, and most mounts are never
 * scraped.
 */
export { type DecisionMetrics, decisionMetrics } from "./metrics/decision-metrics.js";
export { Counter, createRegistry, Gauge, Histogram, Registry } from "./metrics/registry.js";
