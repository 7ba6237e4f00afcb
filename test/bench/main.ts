/** `npm run bench`: reads the command line, measures, reports, and leaves nothing behind, also when interrupted. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BenchError, messageOf } from "./bench-error.js";
import { CleanUp } from "./clean-up.js";
import { killRunningCommands } from "./machine/run-command.js";
import { readOptions, USAGE } from "./options.js";
import { readResults, renderResults } from "./report/write-results.js";
import { runBench } from "./run-bench.js";

const INTERRUPTED = 130;

/** The decision plane is measured by a program of its own, which looks at its memory. */
function measureDecisions(parts: readonly string[]): number {
  const program = fileURLToPath(new URL("./decision/main.js", import.meta.url));
  return spawnSync(process.execPath, ["--expose-gc", program, ...parts], { stdio: "inherit" }).status ?? INTERRUPTED;
}

async function main(): Promise<number> {
  const [first, ...rest] = process.argv.slice(2);
  if (first === "--decisions") return measureDecisions(rest);
  const cleanUp = new CleanUp();
  const interrupt = new AbortController();
  const onSignal = (): void => {
    interrupt.abort(new Error("interrupted"));
    killRunningCommands();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const options = readOptions(process.argv.slice(2));
    if (!options) {
      process.stdout.write(USAGE);
      return 0;
    }
    if (options.render !== undefined) {
      renderResults(options.render, readResults(options.render));
      return 0;
    }
    return await runBench(options, cleanUp, interrupt.signal);
  } catch (error) {
    if (interrupt.signal.aborted) return INTERRUPTED;
    console.error(`sluice bench: ${messageOf(error)}`);
    return error instanceof BenchError ? error.exitCode : 1;
  } finally {
    for (const complaint of await cleanUp.run()) console.error(`sluice bench: clean-up: ${complaint}`);
  }
}

process.exitCode = await main();
