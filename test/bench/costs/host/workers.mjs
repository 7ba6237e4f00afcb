// Processes that use mounts, and time each of their calls (caller.c).
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("./caller.c", import.meta.url));

/** @param {string} at a directory for the program @returns {string} its path */
export function compileCaller(at) {
  const program = join(at, "caller");
  execFileSync("cc", ["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-pthread", "-o", program, SOURCE], { stdio: "inherit" });
  return program;
}

/** The longest call on a place since the last answer; `endUs` is of CLOCK_MONOTONIC, as `process.hrtime`. `calls`: since the start. */
/** @typedef {{ calls: number, us: number, endUs: number, call: string }} Place */
/** Calls and failures since the start, the others since the last answer. */
/** @typedef {{ calls: number, failures: number, failed: string, errno: number, medianUs: number, p99Us: number, places: Place[] }} Times */

/** @param {string} program @param {"change" | "look" | "open" | "hang"} work @param {number} pauseUs @param {readonly string[]} places */
export function startWorker(program, work, pauseUs, places) {
  const child = spawn(program, [work, String(pauseUs), ...places], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  return {
    ask: async () => {
      const answer = once(lines, "line");
      child.stdin.write("\n");
      const [line] = await answer;
      return /** @type {Times} */ (JSON.parse(String(line)));
    },
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
