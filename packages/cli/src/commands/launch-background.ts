/**
 * `sluice mount --background`: starts the same command again in a session of its own. It ends when that one serves, or fails, and passes
 * on its output and its exit code. Node cannot fork.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { check, native } from "@sluice/native";
import { codeOf, failed, wrong } from "@sluice/runtime/cli";
import { limitThread } from "@sluice/service-mount";

/** Set for the second process, whose command line is the same. */
export const IN_BACKGROUND = "SLUICE_IN_BACKGROUND";
const POLL_MS = 50;

export interface Launched {
  logFile: string | undefined;
  /** A host service was asked before. */
  asksService: boolean;
  /** It serves the mount itself, so it has no use for other capabilities than a server's. */
  serves: boolean;
}

/** One end is written by the server, the other one is read here. */
interface Output {
  write: number;
  read: number;
}

/** Standard output or error of the server. It is a file, not a pipe: output after this process has ended must not end the server. */
function outputFile(name: string): Output {
  const write = check(native.memoryFile(name), "make a memory file");
  // A description of its own, which has a place of its own in the file.
  return { write, read: openSync(`/proc/self/fd/${write}`, "r") };
}

/** Of the server. */
interface End {
  /** Null if it could say nothing itself. */
  code: number | null;
  how: string;
}

/** @throws CliError if nothing was said of the end */
function exitCodeOf(end: End | undefined): number {
  if (typeof end?.code === "number") return end.code;
  const remedy = "see its log, and whether memory and processes are limited; 'sluice unmount' clears away what is left";
  throw failed("sluice mount", `the server does not serve: ${end?.how}`, remedy);
}

/** @returns the exit code */
export async function launchInBackground({ logFile, asksService, serves }: Launched): Promise<number> {
  if (logFile === undefined) {
    const why = asksService ? "no host service makes this mount, and in a process of its own " : "";
    throw wrong("--background", `${why}there is no place for the log`, "add --log-file FILE, or --log-file /dev/null");
  }
  const [out, err] = [outputFile("out"), outputFile("err")];
  const descriptors = [out.write, out.read, err.write, err.read];
  try {
    // So it need not start its program a second time.
    if (serves) limitThread();
    let isToldToEnd = false;
    // Nobody waits for the mount any more. A keeper takes SIGHUP for something else. No signal is handled before the child is there.
    const stop = (): void => {
      isToldToEnd = true;
      child.kill("SIGTERM");
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
    const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      detached: true,
      stdio: ["ignore", out.write, err.write],
      env: { ...process.env, [IN_BACKGROUND]: "1" },
    });
    let end: End | undefined;
    child.once("exit", (code, signal) => (end = { code, how: `it ended by signal ${signal}` }));
    child.once("error", (error) => (end = { code: null, how: `it cannot be started: ${codeOf(error)}` }));
    let told = Buffer.alloc(0);
    const live = (): string | undefined => {
      told = Buffer.concat([told, readFileSync(out.read)]);
      return /^(?:mounted|took over) .*\n/m.exec(told.toString("utf8"))?.[0];
    };
    while (end === undefined && live() === undefined) await sleep(POLL_MS);
    process.stderr.write(readFileSync(err.read));
    const line = live();
    if (line === undefined && isToldToEnd) throw failed("sluice mount", "it was told to end before the mount served", "run it again");
    if (line === undefined) return exitCodeOf(end);
    process.stdout.write(line);
    child.unref();
    return 0;
  } finally {
    for (const fd of descriptors) closeSync(fd);
  }
}
