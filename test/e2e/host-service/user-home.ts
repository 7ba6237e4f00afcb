// A host service for ordinary users, and the home of one of them with layers and a mount point.
import { chmodSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  bytes,
  type Credentials,
  type HostService,
  mountsBelow,
  openDescriptors,
  ORDINARY_USER,
  plant,
  type ProcessIdentity,
  type RunningScript,
  runScript,
  scratch,
  type ScriptResult,
  startHostService,
  startScript,
  type Tree,
} from "@sluice/testkit";
import { afterAll, beforeAll } from "vitest";

export const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
export const GROUP = 23_456;
export const USER: Credentials = { uid: ORDINARY_USER.uid, gid: ORDINARY_USER.gid, groups: [GROUP] };
export const OTHER: Credentials = { uid: USER.uid + 1, gid: USER.gid + 1 };

/** Every user may pass the directories above the socket, as above /run/sluice. */
export async function startForUsers(most = 4): Promise<HostService> {
  const host = await startHostService(["--user-mounts", `${most}`]);
  for (let at = dirname(host.socket); at !== "/tmp" && at !== "/"; at = dirname(at)) chmodSync(at, statSync(at).mode | 0o011);
  return host;
}

/** Processes of users: those of mounts, and one that is ready for the next mount. */
export function keepersOf(host: HostService): ProcessIdentity[] {
  return host.children().filter(({ command }) => command.includes("user-mount"));
}

/** Those that have a mount: on a busy machine the next one is there before the command of the last mount has ended. */
export function busyKeepers(host: HostService): ProcessIdentity[] {
  return keepersOf(host).filter(({ pid }) => openDescriptors(pid).includes("/dev/fuse"));
}

/** Of the test file. */
let shared: HostService | undefined;

/** At the top of a file that is about mounts, and not about the service: its tests use one service, unless they start another one. */
export function usersShareHost(): void {
  beforeAll(async () => {
    shared = await startForUsers(16);
  });
  afterAll(() => {
    shared = undefined;
  });
}

/** Without the runtime directory of the one who runs the tests. */
const ENV = { XDG_RUNTIME_DIR: "" };

/**
 * A script of Python as a user, who may not be able to start the interpreter: it starts as root, and becomes the user when it has what it needs.
 * Its first argument is `sys.argv[1]`.
 */
export function pythonAs({ uid, gid, groups = [] }: Credentials, script: string, ...args: readonly string[]): string[] {
  const modules = "import array, ctypes, errno, json, os, socket, struct, sys, time";
  const become = `os.setgroups([${groups.join()}]); os.setresgid(${gid}, ${gid}, ${gid}); os.setresuid(${uid}, ${uid}, ${uid})`;
  return ["python3", "-c", `${modules}\n${become}\n${script}`, ...args];
}

/** The command line `sluice WORDS`, as a user. */
export function sluiceAs(as: Credentials, ...words: readonly string[]): Promise<ScriptResult> {
  return runScript([process.execPath, CLI, ...words], { as, env: ENV });
}

export class UserHome {
  /** The user's own. */
  readonly path = join(scratch(), "home");
  readonly mountpoint = join(this.path, "merged");

  private constructor(readonly host: HostService) {}

  /** `lower` and `upper` keep the owners that they are planted with. */
  static async make(trees: { lower?: Tree; upper?: Tree }, host?: HostService): Promise<UserHome> {
    const home = new UserHome(host ?? shared ?? (await startForUsers()));
    for (const name of ["", "lower", "upper", "work", "merged"]) mkdirSync(home.at(name));
    await runScript(["chown", "-R", `${USER.uid}:${USER.gid}`, home.path]);
    plant(home.at("lower"), trees.lower ?? {});
    plant(home.at("upper"), trees.upper ?? {});
    return home;
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  inMount(...names: readonly string[]): string {
    return join(this.mountpoint, ...names);
  }

  get layers(): readonly string[] {
    return ["--lower", this.at("lower"), "--upper", this.at("upper"), "--work", this.at("work")];
  }

  words(...args: readonly string[]): string[] {
    return ["mount", "--host-service", this.host.socket, ...args];
  }

  /** In the foreground. Resolves when it serves. */
  async mount(...args: readonly string[]): Promise<RunningScript> {
    const words = this.words(...this.layers, ...args, this.mountpoint);
    const command = startScript([process.execPath, CLI, ...words], { as: USER, env: ENV, timeoutMs: 120_000 });
    await command.waitFor("mounted ");
    return command;
  }

  /** `sluice mount` in the background, with nothing but these arguments. */
  try(...args: readonly string[]): Promise<ScriptResult> {
    return sluiceAs(USER, ...this.words("--background", ...args));
  }

  /** A shell script with the mount as its working directory. */
  sh(script: string, as: Credentials = USER): Promise<ScriptResult> {
    return runScript(["sh", "-c", `cd "$0" && ${script}`, this.mountpoint], { as });
  }

  get mounts(): number {
    return mountsBelow(bytes(this.path)).length;
  }
}
