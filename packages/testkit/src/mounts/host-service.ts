// A host service as a user starts it: `sluice serve` as a child process on a socket of its own. It is gone at the end of the test, with
// its mounts. `mountSluice` mounts in it with the arguments `args` of the service.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp } from "../clean-up.js";
import { withServicePrivilege } from "../machine/service-privilege.js";
import { eventually } from "../processes/actor.js";
import { descendantsOf, isAlive, killProcess, lastingDescriptors, openDescriptors, type ProcessIdentity } from "../processes/processes.js";
import { describeResult, type RunningScript, type ScriptOptions, type ScriptResult, startScript } from "../processes/run-script.js";
import { scratch } from "../trees/scratch.js";

const CLI = fileURLToPath(new URL("../../../cli/bin/sluice.cjs", import.meta.url));
const LIFE_MS = 600_000;
const END_MS = 15_000;

export class HostService {
  #killed = false;

  constructor(
    readonly socket: string,
    private readonly script: RunningScript,
  ) {}

  get pid(): number {
    return this.script.pid;
  }

  /** For `sluice mount`, to have it mount there. */
  get args(): readonly string[] {
    return ["--host-service", this.socket];
  }

  /** The targets of its descriptors; compare two moments to find a leak. */
  descriptors(): string[] {
    return lastingDescriptors(this.pid);
  }

  /** Its decision services. */
  children(): ProcessIdentity[] {
    return descendantsOf(this.pid);
  }

  /** With `--keeper on` and a mount: the process that serves, which `pid` has started. */
  get server(): ProcessIdentity | undefined {
    const servers = this.children().filter(({ command }) => command.includes("host-server"));
    return servers.find(({ pid }) => openDescriptors(pid).includes("/dev/fuse"));
  }

  /** With `--keeper on`: the process that is loaded to take over. */
  get standby(): ProcessIdentity | undefined {
    const servers = this.children().filter(({ command }) => command.includes("host-server"));
    return servers.find(({ pid }) => !openDescriptors(pid).includes("/dev/fuse"));
  }

  /** Standard error so far. */
  log(): string {
    return this.script.stderr();
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** SIGKILL: its mounts stay behind, dead. */
  async kill(): Promise<void> {
    this.#killed = true;
    this.script.kill("SIGKILL");
    await this.finished;
  }

  get killed(): boolean {
    return this.#killed;
  }

  get finished(): Promise<ScriptResult> {
    return this.script.finished;
  }

  /**
   * Ends it and all its mounts.
   * @throws if a process of it is left
   */
  async stop(): Promise<ScriptResult> {
    const children = this.children();
    this.script.kill("SIGTERM");
    const result = await this.finished;
    // They end with it, and not before it.
    await eventually("its processes have ended", END_MS, () => !children.some(isAlive)).catch(() => undefined);
    const left = children.filter(isAlive);
    left.forEach(killProcess);
    if (left.length > 0) throw new Error(`sluice serve left behind: ${left.map(({ command }) => command).join("; ")}`);
    return result;
  }
}

/** Resolves once it takes connections. `socket`: a new path by default. */
export async function startHostService(
  args: readonly string[] = [],
  options: ScriptOptions & { socket?: string } = {},
): Promise<HostService> {
  const directory = join(scratch(), "host");
  mkdirSync(directory, { mode: 0o700 });
  const { socket = join(directory, "host.sock"), ...rest } = options;
  const command = [process.execPath, CLI, "serve", "--socket", socket, ...args];
  const script = startScript(rest.as === undefined ? withServicePrivilege(command) : command, { timeoutMs: LIFE_MS, ...rest });
  const host = new HostService(socket, script);
  cleanUp(async () => {
    const result = await host.stop();
    if (!host.killed && (result.signal !== null || result.timedOut))
      throw new Error(`sluice serve did not end in order: ${describeResult(result)}`);
  });
  await script.waitFor("serves mounts at");
  return host;
}
