// The request of all processes together to idle processors (PM QoS).
import { closeSync, openSync, readSync } from "node:fs";

/** The lowest CPU latency that any process requests from the kernel, in microseconds. 0: no processor halts. */
export function latencyAskedFor(): number {
  const fd = openSync("/dev/cpu_dma_latency", "r");
  const value = new Int32Array(1);
  readSync(fd, value);
  closeSync(fd);
  return value[0] as number;
}
