/** A process that acts on a mount for a test, so that the test's own process can never hang in it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { STAT_WORDS, StatWord } from "@sluice/native";
import { cleanUp, cleanUpAfterFile } from "../clean-up.js";

export interface PlainStat {
  ino: string;
  size: string;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Seconds and nanoseconds: "1700000000.000000005". */
  atime: string;
  mtime: string;
  ctime: string;
}

const program = fileURLToPath(new URL("../../programs/actor-process.cjs", import.meta.url));
/** An actor that hangs in a request of a stopped daemon ends only with the mount, which is unmounted after it. */
const LET_GO_MS = 2_000;
const POLL_MS = 25;
let syscalls: string | undefined;

/** Built on first use: once for all files of a process in `npm test`, which removes it at its end, and else once a file. */
function syscallsProgram(): string {
  if (syscalls !== undefined) return syscalls;
  const lasting = process.env["SLUICE_TEST_PROGRAMS"];
  const directory = mkdtempSync(join(lasting ?? process.env["SLUICE_TEST_ROOT"] ?? tmpdir(), "sluice-e2e-cc-"));
  chmodSync(directory, 0o755);
  const path = join(directory, "syscalls");
  const run = spawnSync("cc", ["-O1", "-o", path, fileURLToPath(new URL("../../programs/syscalls.c", import.meta.url))], {
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(`cannot compile syscalls.c: ${run.stderr}`);
  syscalls = path;
  if (lasting !== undefined) return path;
  cleanUpAfterFile(() => {
    rmSync(directory, { recursive: true, force: true });
    syscalls = undefined;
  });
  return path;
}

export class Actor {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #next = 1;
  #exited = false;
  readonly exit: Promise<string>;
  #stderr = "";

  private constructor(child: ChildProcess) {
    this.#process = child;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.exit = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#exited = true;
        for (const answer of this.#waiting.values()) answer({ gone: signal ?? code });
        resolve(String(signal ?? code));
      });
    });
  }

  /** Resolves when the process has loaded everything it needs and acts as `uid`. */
  static async start(uid = 0, gid = uid): Promise<Actor> {
    const argv = [program, String(uid), String(gid), syscallsProgram(), JSON.stringify({ STAT_WORDS, StatWord })];
    const child = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "pipe"] });
    const actor = new Actor(child);
    cleanUp(async () => {
      actor.kill("SIGKILL");
      await within(LET_GO_MS, actor.exit);
    });
    const ready = new Promise<unknown>((resolve) => {
      actor.#waiting.set(0, resolve);
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const [id, result] = JSON.parse(line) as [number, unknown];
      actor.#waiting.get(id)?.(result);
      actor.#waiting.delete(id);
    });
    if (typeof (await ready) !== "number") throw new Error(`the actor did not start: ${actor.#stderr}`);
    return actor;
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  get alive(): boolean {
    return !this.#exited;
  }

  /** Starts an operation. Resolves with its result, or with `{ gone }` if the actor ends first. */
  do<T = number>(operation: string, ...args: unknown[]): Promise<T> {
    if (this.#exited) return Promise.reject(new Error(`the actor has ended: ${this.#stderr}`));
    const id = this.#next++;
    const answered = new Promise<T>((resolve) => {
      this.#waiting.set(id, resolve as (result: unknown) => void);
    });
    this.#process.stdin?.write(`${JSON.stringify([id, operation, ...args])}\n`);
    return answered;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async stop(): Promise<void> {
    if (!this.#exited) this.kill("SIGKILL");
    await this.exit;
  }
}

/** Resolves with "pending" if `promise` does not settle within `limitMs`. */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T | "pending"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"pending">((resolve) => {
    timer = setTimeout(() => resolve("pending"), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Repeats `test` until it returns true. Throws an error that names `what` after `limitMs`. */
export async function eventually(what: string, limitMs: number, test: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + limitMs;
  for (let begun = Date.now(); !(await test()); begun = Date.now()) {
    if (Date.now() > end) throw new Error(`did not happen within ${limitMs} ms: ${what}`);
    // A test that starts a command each time would take a processor from the event that it waits for.
    const pauseMs = Math.max(POLL_MS, 2 * (Date.now() - begun));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
