/** The behaviour of idle processors: halt, or poll if somebody asks the kernel for it (docs/idle-polling.md). */
import { closeSync, existsSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { BenchError, messageOf } from "../bench-error.js";

const DEVICE = "/dev/cpu_dma_latency";
const DRIVER = "/sys/devices/system/cpu/cpuidle/current_driver";

/** For the record. */
export function describeIdle(): string {
  const driver = existsSync(DRIVER) ? readFileSync(DRIVER, "latin1").trim() : "none";
  return `idle processors: cpuidle driver ${driver}${isHeld() ? ", held at polling for everybody" : ""}`;
}

function isHeld(): boolean {
  try {
    const fd = openSync(DEVICE, "r");
    const latencyUs = new Int32Array(1);
    readSync(fd, latencyUs);
    closeSync(fd);
    return latencyUs[0] === 0;
  } catch {
    return false;
  }
}

/** No processor halts until the returned function is called, or this process ends. @throws BenchError 3 */
export function neverHalt(): () => void {
  try {
    const fd = openSync(DEVICE, "r+");
    writeSync(fd, new Uint8Array(4));
    return () => closeSync(fd);
  } catch (error) {
    throw new BenchError(3, `--never-halt: ${messageOf(error)}`);
  }
}
