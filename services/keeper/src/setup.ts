/** The start and the end of both kinds of keeper: the setup of the process, the mount's resources, and the clean-up. */
import { chmodSync, chownSync, lstatSync, mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LayerError, type MountPlan, untilLetGo, untilLetGoForCaller } from "@sluice/keeper-link";
import { identityOf, leaveNow, moveAside, native, removeTree, startThreads, toBytes, whileNamed, whileNaming } from "@sluice/native";
import { tellStderr } from "@sluice/runtime/stderr";
import { AT, Errno, errnoName, FsError, O } from "@sluice/vfs";
import { discardsPend } from "./discard.js";
import { MountResources } from "./mount-resources.js";

export const FAILED = 1;
/** The machine lacks something. */
const LACKING = 3;
export const UNFIT = 4;
const CLOSING_LIMIT_MS = 2_000;
const POLL_MS = 10;

export function say(what: string, text: string): void {
  tellStderr(`sluice: ${`${what}: ${text}`.replace(/[\p{Cc}\p{Cf}]/gu, " ")}\n`);
}

/** @returns an exit code if the resources cannot be opened; then the reason is on standard error */
export async function openResources({ plan }: { plan: MountPlan }): Promise<MountResources | number> {
  try {
    // An ordinary user could lead the paths elsewhere.
    await (plan.caller === undefined ? untilLetGo(plan.upper, plan.work) : untilLetGoForCaller(plan.caller));
    return new MountResources(plan);
  } catch (error) {
    if (error instanceof LayerError) {
      say(error.path, `${error.problem}: ${error.remedy}`);
      return UNFIT;
    }
    if (error instanceof FsError) {
      say(plan.mountpoint, error.message);
      return FAILED;
    }
    throw error;
  }
}

/** By default each of them ends the process, and the mount would stay without a server. Node ignores SIGXFSZ itself. */
const STRAY = ["SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGXCPU", "SIGPIPE"] as const;
export const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;

/** @returns an exit code if the process has no room for its threads; then the reason is on standard error. `name`: of the mount or service */
export function prepare(name: string): number {
  process.chdir("/");
  native.umask(0o077);
  const { hard } = native.nofileLimit();
  native.setNofileLimit(hard);
  native.setDumpable(false);
  native.setNoNewPrivileges();
  // The reader of the mount's first line may have closed the pipe since.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  for (const signal of STRAY) process.on(signal, () => undefined);
  const status = startThreads();
  if (status === 0) return 0;
  const limits = "raise its limit of processes (pids.max of the cgroup, or 'ulimit -u') or of memory ('ulimit -v')";
  say(name, `the keeper has no room for its threads (${errnoName(-status)}): ${limits}`);
  return LACKING;
}

const PRIVATE = 0o700;
const OTHERS_ENTER = 0o711;
const WRITABLE_BY_OTHERS = 0o022;

function makeDirectory(directory: string, user: { uid: number; gid: number } | undefined): void {
  const base = dirname(directory);
  mkdirSync(base, { recursive: true, mode: PRIVATE });
  const stat = lstatSync(base);
  const isOwn = stat.isDirectory() && stat.uid === process.geteuid?.() && (stat.mode & WRITABLE_BY_OTHERS) === 0;
  if (!isOwn) throw new Error(`${base} belongs to somebody else`);
  mkdirSync(directory, { mode: PRIVATE });
  if (user === undefined) return;
  chmodSync(base, OTHERS_ENTER);
  chownSync(directory, user.uid, user.gid);
}

/** The directory of the keeper's sockets, which has been made for it. */
export class SocketsDirectory {
  #made: string | undefined;

  /** `user`: to whom it belongs; undefined: to the keeper's. `made`: its identity when it was made. */
  constructor(
    readonly path: string,
    private readonly user: { uid: number; gid: number } | undefined,
    made = identityOf(path),
  ) {
    this.#made = made;
  }

  /** Mounts by `mount`. @returns its status, or -EBUSY if another mount of the place was begun since the directory was made */
  claim(mount: () => number): number {
    return whileNamed(this.path, this.#made, mount) ?? -Errno.EBUSY;
  }

  /** Somebody may have removed it, such as a program that clears /run, and no server could start. @returns true if it is a new one */
  restore(): boolean {
    try {
      if (identityOf(this.path) !== undefined) return false;
      makeDirectory(this.path, this.user);
      this.#made = identityOf(this.path);
      return true;
    } catch {
      // The server reports that it has no place for its sockets.
      return false;
    }
  }

  /**
   * Removes it with all that its user put there, and leaves what links in it lead to. The next mount of the same name may have made a directory
   * by now, which stays.
   */
  remove(): void {
    const { path } = this;
    const above = native.openat(AT.FDCWD, toBytes(dirname(path)), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
    if (above < 0) return;
    const aside = whileNaming(dirname(path), () => moveAside(path, () => identityOf(path) === this.#made));
    if (aside !== undefined) removeAside(above, aside);
    native.close(above);
  }
}

function removeAside(above: number, aside: string): void {
  // It may belong to the server's user, who adds nothing from now on.
  native.fchownat(above, toBytes(basename(aside)), process.geteuid?.() ?? 0, process.getegid?.() ?? 0, AT.SYMLINK_NOFOLLOW);
  const { status } = removeTree(above, toBytes(basename(aside)));
  if (status < 0) say(aside, `the directory of the mount's sockets cannot be removed (${errnoName(-status)}): remove it`);
}

/** Ends the process when it holds nothing any more. exit() alone would wait for a thread that closes a descriptor which a hostile server sent. */
export async function leave(code: number): Promise<never> {
  for (const untilMs = Date.now() + CLOSING_LIMIT_MS; discardsPend() && Date.now() < untilMs; ) await sleep(POLL_MS);
  if (discardsPend()) process.kill(process.pid, "SIGKILL");
  leaveNow(code);
}
