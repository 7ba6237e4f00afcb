/** Runs a program to its end, in a process group of its own, so that an interrupted benchmark leaves none behind. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { BenchError } from "../bench-error.js";

export interface CommandOptions {
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  /** Default 300,000: long enough for a slow subject, short enough for one that hangs. */
  timeoutMs?: number;
}

export interface CommandResult {
  stdout: string;
  stderr: string;
  elapsedMs: number;
}

const TIMEOUT_MS = 300_000;
const SHOWN_CHARACTERS = 600;
const running = new Set<ChildProcess>();

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended meanwhile.
  }
}

/** Ends every program that `runCommand` still waits for. */
export function killRunningCommands(): void {
  for (const child of running) killGroup(child);
}

/** @throws BenchError if it cannot be started, takes too long or exits with anything but 0 */
export function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const beganNs = process.hrtime.bigint();
    const env = { ...process.env, ...options.env };
    const child = spawn(file, args, { cwd: options.cwd ?? "/", env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    running.add(child);
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    const timer = setTimeout(() => killGroup(child), options.timeoutMs ?? TIMEOUT_MS);
    const finish = (why: string | undefined): void => {
      clearTimeout(timer);
      running.delete(child);
      const elapsedMs = Number(process.hrtime.bigint() - beganNs) / 1e6;
      if (why === undefined) return resolve({ ...output, elapsedMs });
      const said = (output.stderr || output.stdout).trim().slice(-SHOWN_CHARACTERS);
      reject(new BenchError(1, `${[file, ...args].join(" ").slice(0, SHOWN_CHARACTERS)}: ${why}${said ? `: ${said}` : ""}`));
    };
    child.on("error", (error) => finish(error.message));
    child.on("close", (code, signal) => finish(code === 0 ? undefined : signal ? `ended by ${signal}` : `exit code ${code}`));
  });
}

/** The output of a program, or undefined if it cannot be run: for versions. */
export function linesOf(file: string, args: readonly string[]): string[] | undefined {
  const done = spawnSync(file, args, { encoding: "utf8", timeout: 10_000 });
  return done.error ? undefined : `${done.stdout}${done.stderr}`.trim().split("\n");
}
