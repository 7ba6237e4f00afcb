// Small programs that work in a mount on a test's behalf.
//
// Why not in the test itself: a system call on a mount whose server hangs never returns, and a blocked test process can
// neither time out nor clean up. A test may touch a mount served by *another* process if it is sure of the answer; a
// file system served by the test process itself would wait for itself at the first call. A child can be killed, and when
// even that is not enough (a FUSE request waits uninterruptibly once its server has read it) it can be left behind.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { cleanUp } from "../clean-up.js";

export interface Credentials {
  uid: number;
  gid: number;
  /** Supplementary groups; none by default. */
  groups?: readonly number[];
}

export interface ScriptOptions {
  as?: Credentials;
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  /** For code: process.argv.slice(1). */
  args?: readonly string[];
  input?: string | Uint8Array;
  /** Default 90,000; then the child is killed and the result says so. */
  timeoutMs?: number;
}

export interface ScriptResult {
  /** null where a signal ended it, or it was left behind. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

export interface RunningScript {
  pid: number;
  /** Never rejects. */
  finished: Promise<ScriptResult>;
  /** Resolves when standard output contains `text`; rejects when the script ends without. */
  waitFor(text: string): Promise<void>;
  /** Standard output so far. */
  stdout(): string;
  /** Standard error so far. */
  stderr(): string;
  write(text: string): void;
  kill(signal?: NodeJS.Signals): void;
}

const DEFAULT_TIMEOUT_MS = 90_000;
const NATIVE_URL = new URL("../../../native/dist/index.js", import.meta.url).href;
const REPOSITORY = fileURLToPath(new URL("../../../..", import.meta.url));

function argvOf(script: string | readonly string[], { args = [], as }: ScriptOptions): string[] {
  const argv = typeof script === "string" ? [process.execPath, "--input-type=module", "-e", script, ...args] : [...script, ...args];
  if (!as) return argv;
  const groups = as.groups && as.groups.length > 0 ? `--groups=${as.groups.join(",")}` : "--clear-groups";
  return ["setpriv", `--reuid=${as.uid}`, `--regid=${as.gid}`, groups, "--", ...argv];
}

/**
 * Starts a program: ES module source for Node, or an argv. In the source, system calls that Node lacks are at
 * `const { native } = await import(process.env.SLUICE_NATIVE_URL)`. Killed at the end of the test if it still runs.
 */
export function startScript(script: string | readonly string[], options: ScriptOptions = {}): RunningScript {
  const [file = "", ...argv] = argvOf(script, options);
  const env = { ...process.env, SLUICE_NATIVE_URL: NATIVE_URL, ...options.env };
  const child = spawn(file, argv, { cwd: options.cwd ?? REPOSITORY, env, stdio: "pipe" });
  const output = { stdout: "", stderr: "" };
  let ended = false;
  for (const name of ["stdout", "stderr"] as const) child[name].setEncoding("utf8").on("data", (text: string) => (output[name] += text));
  child.stdin.on("error", () => undefined); // It may end before it reads.
  if (options.input !== undefined) child.stdin.end(options.input);

  const kill = (signal: NodeJS.Signals = "SIGKILL"): void => {
    if (!ended) child.kill(signal);
  };
  const finished = new Promise<ScriptResult>((resolve) => {
    const finish = (result: Omit<ScriptResult, "stdout" | "stderr">): void => {
      ended = true;
      clearTimeout(timer);
      resolve({ ...output, ...result });
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      // Not waited for: see the top of this file.
      child.unref();
      finish({ code: null, signal: null, timedOut: true });
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    child.on("error", (error) => {
      output.stderr += error.message;
      finish({ code: 127, signal: null, timedOut: false });
    });
    child.on("close", (code, signal) => finish({ code, signal, timedOut: false }));
  });
  cleanUp(() => kill());
  const waitFor = (text: string): Promise<void> => waitForOutput(text, { stream: child.stdout, soFar: () => output.stdout, finished });
  const write = (text: string): void => void child.stdin.write(text);
  return { pid: child.pid ?? -1, finished, waitFor, stdout: () => output.stdout, stderr: () => output.stderr, write, kill };
}

interface Watched {
  stream: NodeJS.ReadableStream;
  soFar(): string;
  finished: Promise<ScriptResult>;
}

async function waitForOutput(text: string, { stream, soFar, finished }: Watched): Promise<void> {
  const seen = new Promise<"seen">((resolve) => {
    const look = (): void => {
      if (!soFar().includes(text)) return;
      stream.off("data", look);
      resolve("seen");
    };
    stream.on("data", look);
    look();
  });
  const outcome = await Promise.race([seen, finished]);
  if (outcome !== "seen" && !outcome.stdout.includes(text))
    throw new Error(`the script ended without saying ${JSON.stringify(text)}: ${describeResult(outcome)}`);
}

export function describeResult({ code, signal, timedOut, stdout, stderr }: ScriptResult): string {
  const end = timedOut ? "timed out" : signal ? `killed by ${signal}` : `exit code ${code}`;
  return `${end}\n${stderr || stdout}`.trim();
}

/** Runs a program to its end; see `startScript`. Never rejects: look at `code`. */
export function runScript(script: string | readonly string[], options: ScriptOptions = {}): Promise<ScriptResult> {
  return startScript(script, { input: "", ...options }).finished;
}

/** As `runScript`, for a program that must succeed: its standard output. */
export async function scriptOutput(script: string | readonly string[], options: ScriptOptions = {}): Promise<string> {
  const result = await runScript(script, options);
  if (result.code !== 0) throw new Error(`the script failed: ${describeResult(result)}`);
  return result.stdout;
}

/** Runs a program as another user, without capabilities and supplementary groups. */
export function asUser(uid: number, gid: number, script: string | readonly string[]): Promise<ScriptResult> {
  return runScript(script, { as: { uid, gid } });
}
