/**
 * The first of the two processes of a mount in the background. It starts the second, which serves, and ends with 0 once that one serves, or
 * with its exit code. Node cannot fork, so the second is a new process.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { errorLine } from "@sluice/runtime/cli";
import { limitThread } from "@sluice/service-mount";

const SERVE_MAIN = fileURLToPath(new URL("./serve-main.js", import.meta.url));
const READY_FD = 3;
const FAILED = 1;

/** Resolves to the exit code. Errors before the mount serves are on standard error. */
export async function launch(argv: readonly string[], logFile: string): Promise<number> {
  // So it need not start its program a second time.
  limitThread();
  // Nobody waits for the mount any more. No signal is handled before the child is there.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void child.kill("SIGTERM"));
  const child = spawn(process.execPath, [SERVE_MAIN, logFile, ...argv], {
    // A session of its own: the terminal's signals are not for it. It shares our standard error until it serves.
    detached: true,
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const ready = child.stdio[READY_FD];
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", (error) => resolve({ code: null, signal: error.message }));
  });
  const live = ready === null || ready === undefined ? ended : once(ready, "data").then(() => "live" as const);
  const outcome = await Promise.race([live, ended]);
  if (outcome === "live") return 0;
  if (outcome.code !== null && outcome.code !== 0) return outcome.code;
  // A clean exit before it served: it was told to stop.
  const how = outcome.signal === null ? "was told to stop" : `was ended (${outcome.signal})`;
  process.stderr.write(errorLine(`sluice-overlayfs: the server ${how} before it was live: see the messages above`));
  return FAILED;
}
