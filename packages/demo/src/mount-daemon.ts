/**
 * The mount as a user makes it: the `sluice` command as a child process, and the other commands asked about it. Nothing
 * here touches the mounted tree, so that a stuck daemon can always be ended.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MNT, native } from "@sluice/native";
import { DemoError } from "./demo-error.js";
import { mountsBelow } from "./mount-table.js";
import { CLI, type DemoPaths } from "./demo-paths.js";
import { killGroup } from "./task-process.js";

const START_MS = 30_000;
const STOP_MS = 15_000;
const COMMAND_MS = 30_000;
const POLL_MS = 20;

/** As in overlayfs: a colon within a name is escaped. */
const escapeLayer = (path: string): string => path.replace(/[\\:]/g, "\\$&");

/** Runs `sluice` with `args`; its standard output. Throws DemoError 1 with its complaint. */
export function runSluice(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [CLI, ...args],
      { timeout: COMMAND_MS, killSignal: "SIGKILL", maxBuffer: 64 * 1024 * 1024 },
      (cause, stdout, stderr) => {
        if (cause === null) resolve(stdout);
        else reject(new DemoError(1, `sluice ${args.join(" ")}: ${stderr.trim() || cause.message}`, { cause }));
      },
    );
  });
}

export class MountDaemon {
  #child: ChildProcess | undefined;
  /** The stopped process, which a keeper may have started. */
  #frozen: number | undefined;

  constructor(
    readonly paths: DemoPaths,
    readonly engine: string | undefined,
  ) {}

  /** Resolves when the mount serves. Throws DemoError 1 if it does not come about. */
  async start(signal: AbortSignal): Promise<void> {
    const { paths } = this;
    // Files, not pipes: the daemon may outlive the demo, and must not die of a pipe that nobody reads.
    const [out, log] = [openSync(`${paths.log}.out`, "w"), openSync(paths.log, "a")];
    const lower = [paths.lowerData, paths.lowerTree].map(escapeLayer).join(":");
    const engine = this.engine === undefined ? [] : ["--engine", this.engine];
    const args = [
      "mount",
      ...engine,
      "--lower",
      lower,
      "--upper",
      paths.upper,
      "--work",
      paths.work,
      "--policy",
      paths.policy,
      paths.mountPoint,
    ];
    const child = spawn(process.execPath, [CLI, ...args], { detached: true, stdio: ["ignore", out, log], cwd: "/" });
    this.#child = child;
    child.on("error", () => {});
    closeSync(out);
    closeSync(log);
    for (let waitedMs = 0; ; waitedMs += POLL_MS) {
      signal.throwIfAborted();
      if (readFileSync(`${paths.log}.out`, "utf8").includes("mounted ")) return;
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined || waitedMs > START_MS)
        throw new DemoError(1, `the mount did not come up: ${this.lastWords()}`);
      await sleep(POLL_MS);
    }
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** How the daemon ended, if it did although nobody told it to. */
  get ended(): string | undefined {
    const child = this.#child;
    if (child === undefined || (child.exitCode === null && child.signalCode === null)) return undefined;
    return child.signalCode ?? `status ${child.exitCode}`;
  }

  /** SIGSTOP: the daemon serves no request until `thaw`. */
  async freeze(): Promise<void> {
    const { pid } = (await this.statusJson()) as { pid: number };
    this.#frozen = pid;
    process.kill(pid, "SIGSTOP");
  }

  thaw(): void {
    if (this.#frozen !== undefined) process.kill(this.#frozen, "SIGCONT");
    this.#frozen = undefined;
  }

  async statusJson(): Promise<unknown> {
    return JSON.parse(await runSluice(["status", this.paths.mountPoint, "--json"]));
  }

  /** The process that decides: a child of the one that serves. Undefined if there is none. */
  async decisionPid(): Promise<number | undefined> {
    const { pid } = (await this.statusJson()) as { pid: number };
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
    return children.find((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes("decision"));
  }

  async diffJson(): Promise<unknown> {
    return JSON.parse(await runSluice(["diff", this.paths.mountPoint, "--json"]));
  }

  /** Unmounts, whatever state the daemon is in. Returns false if it had to be killed. */
  async stop(): Promise<boolean> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return true;
    // A stopped process takes no SIGTERM before it goes on.
    this.thaw();
    child.kill("SIGTERM");
    const clean = await exited(child, STOP_MS);
    if (!clean) {
      killGroup(child.pid);
      await exited(child, STOP_MS);
    }
    if (mountsBelow(this.paths.mountPoint).length === 0) return clean;
    // The command also clears the leftovers of a killed daemon beside its mount; if it fails, the mount still goes.
    await runSluice(["unmount", this.paths.mountPoint]).catch(() => "");
    for (const point of mountsBelow(this.paths.mountPoint)) await native.umount2Async(Buffer.from(point).toString("latin1"), MNT.DETACH);
    return clean;
  }

  /** Lets the demo end while the daemon stays. */
  letGo(): void {
    this.#child?.unref();
    this.#child = undefined;
  }

  /** The end of the log, for the message of a failure. */
  lastWords(): string {
    return readFileSync(this.paths.log, "utf8").trim().split("\n").slice(-5).join("\n");
  }
}

async function exited(child: ChildProcess, withinMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += POLL_MS) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return true;
    await sleep(POLL_MS);
  }
  return false;
}
