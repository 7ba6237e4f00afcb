/** Runs the cases in a mounted tree in child processes, and survives a case that hangs or kills its process. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Step } from "../probe/recorder.js";

export type Results = Record<string, Step[]>;

const CASE_PROCESS = fileURLToPath(new URL("../dist/run/case-process.js", import.meta.url));
/** The longest time without output: a case is small. */
const SILENCE_MS = 120_000;

type Line = { began: string } | { ended: string; steps: Step[] };

interface Round {
  results: Results;
  /** The case that was running when the process ended. */
  unfinished: string | undefined;
  how: string;
}

export async function runCases(mountpoint: string, names: readonly string[], forgetful = false): Promise<Results> {
  const results: Results = {};
  let left = [...names];
  while (left.length > 0) {
    const round = await runRound(mountpoint, left, forgetful);
    Object.assign(results, round.results);
    const stopped = round.unfinished ?? left.find((name) => results[name] === undefined);
    if (stopped === undefined) return results;
    results[stopped] = [{ call: "0 the whole case", result: `did not end: ${round.how}` }];
    left = left.filter((name) => results[name] === undefined);
  }
  return results;
}

function runRound(mountpoint: string, names: readonly string[], forgetful: boolean): Promise<Round> {
  const args = [CASE_PROCESS, ...(forgetful ? ["--forgetful"] : []), mountpoint, ...names];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const results: Results = {};
  let unfinished: string | undefined;
  let stderr = "";
  return new Promise((resolve) => {
    const finish = (how: string): void => {
      clearTimeout(timer);
      child.unref();
      resolve({ results, unfinished, how });
    };
    const timer = setTimeout(() => {
      // A call that waits for a hung server cannot be killed: the process stays until the mount ends.
      child.kill("SIGKILL");
      finish("it hung");
    }, SILENCE_MS);
    child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
    createInterface(child.stdout).on("line", (text) => {
      timer.refresh();
      const line = JSON.parse(text) as Line;
      if ("began" in line) unfinished = line.began;
      else {
        results[line.ended] = line.steps;
        unfinished = undefined;
      }
    });
    child.on("close", (code, signal) => finish(`code ${code} signal ${signal} ${stderr}`));
  });
}
