// A mount as a user makes it: `sluice mount` as a child process, which the test waits for and talks to by the command line. It is
// gone at the end of the test, whatever happened to it. Imports nothing of the code that it drives.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bytes } from "../byte-string.js";
import { cleanUp } from "../clean-up.js";
import { withServicePrivilege } from "../machine/service-privilege.js";
import { askControl } from "./ask-control.js";
import { sharedDecision } from "../policies/shared-decision.js";
import { HostedServer } from "./hosted-server.js";
import type { MountServer, SluiceExit } from "./mount-server.js";
import { mountsBelow } from "./mount-table.js";
import { sharedHost, sharedPolicyFile, sharesProcess } from "./shared-host.js";
import {
  descendantsOf,
  identifyProcess,
  isAlive,
  killProcess,
  lastingDescriptors,
  openDescriptors,
  type ProcessIdentity,
} from "../processes/processes.js";
import { within } from "../processes/actor.js";
import { describeResult, runScript, type ScriptOptions, type ScriptResult } from "../processes/run-script.js";
import { scratch } from "../trees/scratch.js";

export interface SluiceMountOptions {
  /** Topmost first. */
  lowers: readonly string[];
  /** Behind `::`. */
  dataLowers?: readonly string[];
  upper?: string;
  /** A directory beside `upper` by default. */
  work?: string;
  /** A new directory by default. */
  mountpoint?: string;
  /** The text of a policy file; the file's path is `policyFile` of the mount. */
  policy?: string;
  /** The text of a policy, of which one decision service tells all mounts of the test file: policies/shared-decision.ts. */
  sharedPolicy?: string;
  /** Further arguments before the mount point. */
  args?: readonly string[];
  /** Its main module, if it is not this checkout's. */
  program?: string;
  env?: Readonly<Record<string, string>>;
  /** In a file whose mounts share a process (`mountsShareProcess`): not this one. */
  ownProcess?: boolean;
  /** It starts with every capability of the test, and drops those that it does not need: machine/service-privilege.ts. */
  dropsPrivilege?: boolean;
  /** Default 60,000. */
  readyMs?: number;
}

/** `sluice mount` ended, or printed nothing, before it served. */
export class MountFailure extends Error {
  override readonly name = "MountFailure";
  constructor(
    readonly exit: SluiceExit,
    readonly stdout: string,
    readonly stderr: string,
  ) {
    super(`sluice mount did not serve (exit code ${exit.code}, signal ${exit.signal}):\n${stderr || stdout}`);
  }
}

const CLI = fileURLToPath(new URL("../../../cli/bin/sluice.cjs", import.meta.url));
/** For a machine that does much else. */
const READY_MS = 60_000;
const STOP_MS = 40_000;
const SETTLE_MS = 15_000;
const POLL_MS = 20;
/** Arguments of a mount that another process holds or makes. */
const NOT_SHARED = /^--(keeper|host-service)/;
/** Arguments of a command that may lead to such a mount, or leaves it to another process. */
const STARTS_ONCE = /^--(keeper|host-service|background|config)/;
const MAX_LOG_CHARACTERS = 1 << 20;

/** Starts as a mount service does, if it would start itself again for that: with the same privilege. */
function privilegedAsService(args: readonly string[], { as, env }: ScriptOptions): boolean {
  return as === undefined && env === undefined && args[0] === "mount" && !args.some((arg) => STARTS_ONCE.test(arg));
}

/** Runs `sluice …` to its end. Never rejects. */
export function runSluice(args: readonly string[], options: ScriptOptions = {}): Promise<ScriptResult> {
  const argv = [process.execPath, CLI, ...args];
  return runScript(privilegedAsService(args, options) ? withServicePrivilege(argv) : argv, options);
}

async function jsonOf(args: readonly string[]): Promise<unknown> {
  const result = await runSluice(args);
  if (result.code !== 0) throw new Error(`sluice ${args.join(" ")} failed: ${describeResult(result)}`);
  return JSON.parse(result.stdout);
}

/**
 * Resolves to whether `condition` came true within `ms`. A time for which a system call blocks this process, such as an unmount that waits
 * for the disk, does not count: this process reads afterwards what the mount has said meanwhile.
 */
async function until(condition: () => boolean, ms: number): Promise<boolean> {
  for (let waitedMs = 0; !condition(); waitedMs += POLL_MS) {
    if (waitedMs > ms) return false;
    await sleep(POLL_MS);
  }
  return true;
}

export class SluiceMount {
  readonly mountpoint: string;
  readonly policyFile: string | undefined;
  /** The line that it printed when it was ready. */
  readonly readyLine: string;
  /** The pid of the process that was started: the keeper, if there is one. */
  readonly pid: number;
  readonly #daemon: MountServer;

  constructor(daemon: MountServer, place: { mountpoint: string; policyFile: string | undefined; readyLine: string }) {
    this.#daemon = daemon;
    this.mountpoint = place.mountpoint;
    this.policyFile = place.policyFile;
    this.readyLine = place.readyLine;
    this.pid = daemon.pid;
  }

  /** Its end, once it has ended. */
  get exited(): Promise<SluiceExit> {
    return this.#daemon.exited;
  }

  /** The pid of the process that serves requests now: `pid` if there is no keeper, or no server. */
  get serverPid(): number {
    return this.#daemon.server?.pid ?? this.pid;
  }

  /** The pid of the embedded decision service, while there is one. */
  get decisionPid(): number | undefined {
    return descendantsOf(this.pid).find(({ command }) => command.includes("decision"))?.pid;
  }

  /** Paths that the embedded decision service has open, apart from the directory of its program (cli/src/embedded/child-code.ts). */
  get decisionFiles(): readonly string[] {
    const targets = this.decisionPid === undefined ? [] : openDescriptors(this.decisionPid);
    // Pipes, sockets and the descriptors of an event loop have no path.
    return targets.filter((target) => target.startsWith("/") && target !== "/dev/null" && !CLI.startsWith(`${target}/`));
  }

  path(...names: readonly string[]): string {
    return join(this.mountpoint, ...names);
  }

  /** Standard error so far. */
  log(): string {
    return this.#daemon.output.stderr;
  }

  /** The targets of the server's descriptors; compare two moments to find a leak. */
  descriptors(): string[] {
    return lastingDescriptors(this.serverPid);
  }

  /** The output of `sluice status --json`. */
  async status(): Promise<unknown> {
    const items = this.#daemon.isKept ? undefined : await askControl(this.mountpoint, { method: "status" });
    return items?.[0] ?? jsonOf(["status", "--json", this.mountpoint]);
  }

  /** The output of `sluice grants --json`. */
  async grants(): Promise<unknown> {
    const items = this.#daemon.isKept ? undefined : await askControl(this.mountpoint, { method: "grants", watch: false });
    return items ?? jsonOf(["grants", "--json", this.mountpoint]);
  }

  /** `sluice COMMAND MOUNTPOINT …REST`. */
  cli(command: string, ...rest: readonly string[]): Promise<ScriptResult> {
    return runSluice([command, this.mountpoint, ...rest]);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  signalServer(signal: NodeJS.Signals): void {
    process.kill(this.serverPid, signal);
  }

  /**
   * Ends it as a user would and waits until nothing is left.
   * @throws if it does not end, or leaves a mount or a process behind
   */
  async stop(signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<SluiceExit> {
    const family = this.#daemon.family();
    this.#daemon.resume();
    this.#daemon.signal(signal);
    if (!(await until(() => this.#daemon.ended, STOP_MS))) {
      throw new Error(`sluice mount (pid ${this.pid}) did not end within ${STOP_MS} ms of ${signal}:\n${this.log()}`);
    }
    await assertNothingLeft(this.mountpoint, family);
    return this.exited;
  }

  /** SIGKILL: the mount stays behind, dead, until `discardMount` or the end of the test. Its children must end by themselves. */
  async kill(): Promise<SluiceExit> {
    this.#daemon.signal("SIGKILL");
    return this.exited;
  }

  /** Removes a mount whose server is gone. */
  discardMount(): void {
    for (const { mountpoint } of mountsBelow(bytes(this.mountpoint))) spawnSync("umount", ["-l", mountpoint]);
  }
}

async function assertNothingLeft(mountpoint: string, family: readonly ProcessIdentity[]): Promise<void> {
  const left = (): string[] => [
    ...mountsBelow(bytes(mountpoint)).map((entry) => `mount ${entry.mountpoint} (${entry.type})`),
    ...family.filter(isAlive).map(({ pid, command }) => `process ${pid}: ${command}`),
  ];
  if (!(await until(() => left().length === 0, SETTLE_MS))) throw new Error(`sluice mount left behind: ${left().join("; ")}`);
}

/** The child process, from before it serves until after it has ended. */
class Daemon implements MountServer {
  readonly output = { stdout: "", stderr: "" };
  readonly exited: Promise<SluiceExit>;
  readonly pid: number;
  ended = false;
  /** It has a keeper, or that of a host service: a command that asks it waits for its next server. */
  readonly isKept: boolean;
  readonly #identity: ProcessIdentity | undefined;

  constructor(argv: readonly string[], options: SluiceMountOptions) {
    const { program = CLI, env = {} } = options;
    const [file = "", ...rest] = commandOf([process.execPath, program, ...argv], options);
    const child = spawn(file, rest, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    this.pid = child.pid ?? -1;
    this.isKept = options.args?.some((arg) => NOT_SHARED.test(arg)) ?? false;
    this.#identity = identifyProcess(this.pid);
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        this.output[name] = (this.output[name] + text).slice(-MAX_LOG_CHARACTERS);
      });
    }
    this.exited = new Promise((resolve) => {
      child.on("error", () => resolve({ code: null, signal: null }));
      child.on("exit", (code, signal) => {
        this.ended = true;
        // Its last lines may still be in the pipes. Node reads them in the next round of the event loop. It may never close the pipes: others
        // may have inherited them.
        setImmediate(() => setImmediate(() => resolve({ code, signal })));
      });
    });
  }

  /** Itself and its descendants, as of now. */
  family(): ProcessIdentity[] {
    return [...(this.#identity ? [this.#identity] : []), ...descendantsOf(this.pid)];
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.ended && this.#identity && isAlive(this.#identity)) process.kill(this.pid, signal);
  }

  /** The server among the keeper's children that has the mount's device; others wait for its end. */
  get server(): ProcessIdentity | undefined {
    const servers = descendantsOf(this.pid).filter(({ command }) => command.includes("mount-server"));
    return servers.find(({ pid }) => openDescriptors(pid).includes("/dev/fuse"));
  }

  /** Continues whatever a test has stopped. */
  resume(): void {
    const { server } = this;
    this.signal("SIGCONT");
    if (server !== undefined && isAlive(server)) process.kill(server.pid, "SIGCONT");
  }

  readyLine(): string | undefined {
    return this.output.stdout.split("\n").find((line) => line.startsWith("mounted "));
  }
}

/** Whatever the test did to it, nothing of it may remain. It ends in order if possible, by force if not. */
async function putAway(daemon: MountServer, mountpoint: string): Promise<void> {
  const endedBefore = daemon.ended;
  const family = daemon.family();
  daemon.resume();
  daemon.signal("SIGTERM");
  const orderly = await until(() => daemon.ended, STOP_MS);
  // If the test let it run, it must clean up by itself; if the test killed it, the test caused the leftovers.
  const leak = orderly && !endedBefore ? await assertNothingLeft(mountpoint, family).catch((error: Error) => error) : undefined;
  for (const process of family) killProcess(process);
  for (const entry of mountsBelow(bytes(mountpoint))) spawnSync("umount", ["-l", entry.mountpoint]);
  if (leak instanceof Error) throw leak;
  if (!orderly) throw new Error(`sluice mount (pid ${daemon.pid}) had to be killed after ${STOP_MS} ms:\n${daemon.output.stderr}`);
}

/** A keeper, a client of a host service and a server that joins a keeper do not start again. */
function commandOf(argv: readonly string[], { args = [], dropsPrivilege = false }: SluiceMountOptions): readonly string[] {
  const startsOnce = dropsPrivilege || args.some((arg) => NOT_SHARED.test(arg));
  return startsOnce ? argv : withServicePrivilege(argv);
}

function argvOf(options: SluiceMountOptions, mountpoint: string, policyFile: string | undefined): string[] {
  const escape = (path: string): string => path.replace(/[\\:]/g, "\\$&");
  const argv = ["mount", "--lower", [options.lowers.map(escape).join(":"), ...(options.dataLowers ?? []).map(escape)].join("::")];
  if (options.upper !== undefined) {
    const work = options.work ?? join(dirname(options.upper), `${basename(options.upper)}.work`);
    if (!existsSync(work)) {
      mkdirSync(work);
      cleanUp(() => rmSync(work, { recursive: true, force: true }));
    }
    argv.push("--upper", options.upper, "--work", work);
  }
  if (policyFile !== undefined) argv.push("--policy", policyFile);
  return [...argv, ...(options.args ?? []), mountpoint];
}

function newDirectory(name: string): string {
  const path = join(scratch(), name);
  mkdirSync(path);
  return path;
}

function writePolicy(text: string): string {
  const path = join(scratch(), "policy.yaml");
  writeFileSync(path, text);
  return path;
}

/** These are about a process, or are not given by a client of one. */
function mayShareProcess({ args = [], env, program, ownProcess = false, dropsPrivilege = false }: SluiceMountOptions): boolean {
  // The variable is an option of the command alone.
  const isOwn =
    process.env["SLUICE_TRANSPORT"] !== undefined ||
    ownProcess ||
    dropsPrivilege ||
    env !== undefined ||
    program !== undefined ||
    args.some((arg) => NOT_SHARED.test(arg));
  return sharesProcess() && !isOwn;
}

/** Undefined: it needs a process of its own. */
async function beginHosted(
  argv: readonly string[],
  { sharedPolicy, readyMs = READY_MS }: SluiceMountOptions,
): Promise<MountServer | undefined> {
  const policy = sharedPolicy === undefined ? [] : ["--policy", sharedPolicyFile(sharedPolicy)];
  const mountpoint = argv.at(-1) ?? "";
  const server = new HostedServer(await sharedHost(), [...argv.slice(1, -1), ...policy], mountpoint);
  cleanUp(() => putAway(server, mountpoint));
  await within(readyMs, server.ready);
  return server.needsOwnProcess ? undefined : server;
}

async function beginOwn(argv: readonly string[], options: SluiceMountOptions): Promise<MountServer> {
  const { sharedPolicy, readyMs = READY_MS } = options;
  const mountpoint = argv.at(-1) ?? "";
  const decision = sharedPolicy === undefined ? [] : ["--decision", await sharedDecision(sharedPolicy)];
  const daemon = new Daemon([...argv.slice(0, -1), ...decision, mountpoint], options);
  cleanUp(() => putAway(daemon, mountpoint));
  await until(() => daemon.ended || daemon.readyLine() !== undefined, readyMs);
  return daemon;
}

/**
 * Mounts and resolves once requests are served.
 * @throws MountFailure if it ended first, or did not serve in time
 */
export async function mountSluice(options: SluiceMountOptions): Promise<SluiceMount> {
  const mountpoint = options.mountpoint ?? newDirectory("merged");
  const policyFile = options.policy === undefined ? undefined : writePolicy(options.policy);
  const argv = argvOf(options, mountpoint, policyFile);
  const daemon = (mayShareProcess(options) ? await beginHosted(argv, options) : undefined) ?? (await beginOwn(argv, options));
  const readyLine = daemon.readyLine();
  if (readyLine !== undefined) return new SluiceMount(daemon, { mountpoint, policyFile, readyLine });
  const exit = daemon.ended ? await daemon.exited : { code: null, signal: null };
  throw new MountFailure(exit, daemon.output.stdout, daemon.output.stderr);
}
