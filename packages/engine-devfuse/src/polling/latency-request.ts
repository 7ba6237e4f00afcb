/**
 * The kernel's request for a CPU latency (Documentation/power/pm_qos_interface.rst): as long as some process holds it at 0
 * microseconds, idle processors do not halt, they poll. The descriptor is the request: it ends with the process, however that ends.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { errnoName } from "@sluice/vfs";

const DEVICE = "/dev/cpu_dma_latency";
/** A signed 32-bit number of microseconds. */
const NO_LATENCY = new Uint8Array(new Int32Array([0]).buffer);
/** include/linux/pm_qos.h PM_QOS_CPU_LATENCY_DEFAULT_VALUE: its value before anything is written. */
const ANY_LATENCY = new Uint8Array(new Int32Array([2_000_000_000]).buffer);

export interface LatencyRequest {
  /** "" or the reason why it is impossible. */
  hold(): string;
  release(): string;
  close(): void;
}

/** Asks for nothing yet. A text gives the reason if there is none. */
export function openLatencyRequest(): LatencyRequest | string {
  let fd: number;
  try {
    fd = openSync(DEVICE, "r+");
  } catch (error) {
    return `${DEVICE} cannot be opened (${nameOf(error)})`;
  }
  const write = (value: Uint8Array): string => {
    try {
      writeSync(fd, value);
      return "";
    } catch (error) {
      return `${DEVICE} cannot be written to (${nameOf(error)})`;
    }
  };
  return { hold: () => write(NO_LATENCY), release: () => write(ANY_LATENCY), close: () => closeSync(fd) };
}

function nameOf(error: unknown): string {
  return errnoName(-((error as NodeJS.ErrnoException).errno ?? 0));
}
