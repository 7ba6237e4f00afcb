/** The time for limits that a person sets. */
import { native } from "../native.js";

const us = new Float64Array(1);
const bytes = new Uint8Array(us.buffer);

/** Milliseconds since the machine started. Unlike performance.now(), the clock goes on while the machine is suspended. */
export function bootTimeMs(): number {
  native.bootClock(bytes);
  return (us[0] as number) / 1000;
}
