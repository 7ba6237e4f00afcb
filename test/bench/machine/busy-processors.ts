/** Other work on the machine: a program that never waits on each processor but the first, as beside a parallel build. */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { BenchError } from "../bench-error.js";
import { findProgram } from "./find-program.js";

/** Until the returned function is called. @throws BenchError 3 */
export function keepOthersBusy(): () => void {
  const others = cpus().length - 1;
  if (others === 0) throw new BenchError(3, "--busy: this machine has a single processor");
  const taskset = findProgram("taskset");
  if (!taskset) throw new BenchError(3, "--busy: taskset is not installed: apt-get install util-linux");
  const programs = Array.from({ length: others }, (_none, at) =>
    spawn("taskset", ["-c", String(at + 1), process.execPath, "-e", "for (;;);"], { stdio: "ignore" }),
  );
  return () => {
    for (const program of programs) program.kill("SIGKILL");
  };
}
