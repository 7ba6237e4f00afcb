/** Main file of `npm start`: arguments, signals, exit status. */
import { DemoError, type ExitStatus } from "./demo-error.js";
import { type DemoOptions, parseOptions, USAGE } from "./options.js";
import { pathsBelow } from "./demo-paths.js";
import { preflight } from "./preflight.js";
import { Progress } from "./progress.js";
import { DemoRun } from "./run-demo.js";

const SIGNALS: readonly (readonly [NodeJS.Signals, ExitStatus])[] = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 143],
];

function complain(error: unknown): number {
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof DemoError ? error.exitStatus : 1;
}

/** Aborted by the first signal; further ones find it already on its way out. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, status] of SIGNALS)
    process.on(signal, () => {
      if (controller.signal.aborted) return;
      process.stderr.write(`\nsluice: ${signal}: cleaning up\n`);
      controller.abort(new DemoError(status, `interrupted by ${signal}: everything was cleaned up`));
    });
  // Nobody reads any more: the same as an interruption.
  process.stdout.on("error", () => controller.abort(new DemoError(143, "standard output was closed: everything was cleaned up")));
  return controller.signal;
}

async function demonstrate(options: DemoOptions): Promise<number> {
  const signal = abortOnSignal();
  const scratch = preflight(options.scratch);
  const run = new DemoRun({ paths: pathsBelow(scratch), engine: options.engine }, new Progress(process.stdout), signal);
  process.stdout.write(`Sluice demo, working in ${scratch}\n\n`);
  let failure: { error: unknown } | undefined;
  try {
    await run.run(options.keep);
  } catch (error) {
    failure = { error };
  }
  if (failure !== undefined || !options.keep) await run.cleanUp();
  return failure === undefined ? 0 : complain(failure.error);
}

async function main(): Promise<number> {
  const parsed = parseOptions(process.argv.slice(2));
  switch (parsed.kind) {
    case "help":
      process.stdout.write(USAGE);
      return 0;
    case "wrong":
      process.stderr.write(`sluice: ${parsed.message}\n`);
      return 2;
    case "run":
      return demonstrate(parsed.options);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = complain(error);
}
