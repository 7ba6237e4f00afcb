/**
 * `sluice mount --background`: starts the same command again in a session of its own. It ends when that one serves, or fails, and passes
 * on its output and its exit code. Node cannot fork.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { wrong } from "@sluice/runtime/cli";
import { limitThread } from "@sluice/service-mount";

/** Set for the second process, whose command line is the same. */
export const IN_BACKGROUND = "SLUICE_IN_BACKGROUND";
const POLL_MS = 50;
const FAILED = 1;

export interface Launched {
  logFile: string | undefined;
  /** It serves the mount itself, so it has no use for other capabilities than a server's. */
  serves: boolean;
}

/** @returns the exit code */
export async function launchInBackground({ logFile, serves }: Launched): Promise<number> {
  if (logFile === undefined) throw wrong("--background", "there is no place for the log", "add --log-file FILE, or --log-file /dev/null");
  // Files, not pipes: output after this process has ended must not end the server.
  const directory = mkdtempSync(join(tmpdir(), "sluice-background-"));
  const [out, err] = ["out", "err"].map((name) => join(directory, name)) as [string, string];
  const descriptors = [out, err].map((path) => openSync(path, "w", 0o600));
  try {
    // So it need not start its program a second time.
    if (serves) limitThread();
    const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      detached: true,
      stdio: ["ignore", ...descriptors],
      env: { ...process.env, [IN_BACKGROUND]: "1" },
    });
    let code: number | undefined;
    child.once("exit", (exitCode) => (code = exitCode ?? FAILED));
    child.once("error", () => (code = FAILED));
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void child.kill(signal));
    const live = (): string | undefined => /^(?:mounted|took over) .*\n/m.exec(readFileSync(out, "utf8"))?.[0];
    while (code === undefined && live() === undefined) await sleep(POLL_MS);
    process.stderr.write(readFileSync(err));
    const line = live();
    if (line === undefined) return code ?? FAILED;
    process.stdout.write(line);
    child.unref();
    return 0;
  } finally {
    for (const fd of descriptors) closeSync(fd);
    rmSync(directory, { recursive: true, force: true });
  }
}
