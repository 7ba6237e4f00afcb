/**
 * The program of the process that does a caller's work: the request's body on standard input, the outcome on standard output.
 * It is the first that the kernel ends if the machine's memory runs out.
 */
import { writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { native } from "@sluice/native";
import { CallError, type CallName, doWork, REFUSED } from "./caller-work.js";

const FIRST_TO_GO = "1000";

function limitHarm(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", FIRST_TO_GO);
  } catch {
    // A container may hide it. The limit of the heap still holds.
  }
  // If it runs out of memory it aborts: without a core dump, which would hold a caller's log.
  native.setDumpable(false);
}

limitHarm();
try {
  process.stdout.write(await doWork(process.argv[2] as CallName, await buffer(process.stdin)));
} catch (error) {
  if (!(error instanceof CallError)) throw error;
  process.stdout.write(error.message);
  process.exitCode = REFUSED;
}
