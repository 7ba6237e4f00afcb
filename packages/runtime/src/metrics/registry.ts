/** A service's metrics: one registry for a process, never prom-client's global one, so that two services fit in a test. */
import { collectDefaultMetrics, Registry } from "prom-client";

export { Counter, Gauge, Histogram, Registry } from "prom-client";

/** `withProcess` adds memory, event loop and garbage collection of this process. */
export function createRegistry(withProcess: boolean): Registry {
  const registry = new Registry();
  if (withProcess) collectDefaultMetrics({ register: registry });
  return registry;
}
