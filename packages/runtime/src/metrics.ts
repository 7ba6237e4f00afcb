/**
 * Prometheus metrics, in a module of their own: the library loads as long as a mount takes to start, and most mounts are never
 * scraped.
 */
import { collectDefaultMetrics, Registry } from "prom-client";

export { Counter, Gauge, Histogram, Registry } from "prom-client";
export { type DecisionMetrics, decisionMetrics } from "./decision-metrics.js";

/**
 * One registry for a process, never prom-client's global one, so that two services fit in a test. `withProcess` adds memory, event loop and
 * garbage collection of this process.
 */
export function createRegistry(withProcess: boolean): Registry {
  const registry = new Registry();
  if (withProcess) collectDefaultMetrics({ register: registry });
  return registry;
}
