/** The end of a process for which others wait. */
import { native } from "../native.js";

/**
 * As process.exit, without the time in which Node takes V8 and its threads down, which nobody needs: the kernel gives everything back. Text
 * that waits in this process is lost, as with process.exit.
 */
export function leaveNow(code: number): never {
  // Such as a profiler, which writes its file when V8 ends.
  if (process.execArgv.length > 0 || process.env["NODE_OPTIONS"] !== undefined || process.env["NODE_V8_COVERAGE"] !== undefined)
    process.exit(code);
  process.exitCode = code;
  process.emit("exit", code);
  return native.leave(code);
}
