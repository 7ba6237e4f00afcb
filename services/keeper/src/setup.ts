/** The start and the end of both kinds of keeper: the setup of the process, the mount's resources, and the clean-up. */
import { chmodSync, chownSync, lstatSync, mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LayerError, type MountPlan, untilLetGo, untilLetGoForCaller } from "@sluice/keeper-link";
import { leaveNow, native, removeTree, startThreads, toBytes } from "@sluice/native";
import { tellStderr } from "@sluice/runtime/stderr";
import { AT, errnoName, FsError, O } from "@sluice/vfs";
import { discardsPend } from "./discard.js";
import { MountResources } from "./mount-resources.js";

export const FAILED = 1;
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

export function prepare(): void {
  process.chdir("/");
  native.umask(0o077);
  const { hard } = native.nofileLimit();
  native.setNofileLimit(hard);
  native.setDumpable(false);
  native.setNoNewPrivileges();
  startThreads();
  // The reader of the mount's first line may have closed the pipe since.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
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

/** Somebody may have removed it, such as a program that clears /run, and no server could start. @returns true if it is a new one */
export function restoreDirectory(directory: string, user: { uid: number; gid: number } | undefined): boolean {
  try {
    if (lstatSync(directory, { throwIfNoEntry: false }) !== undefined) return false;
    makeDirectory(directory, user);
    return true;
  } catch {
    // The server reports that it has no place for its sockets.
    return false;
  }
}

/** It may belong to the server's user, who adds nothing from now on. */
function takeBack(directory: string): void {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  native.fchownat(AT.FDCWD, toBytes(directory), uid, gid, AT.SYMLINK_NOFOLLOW);
}

/** Removes the directory with all that its user put there, and leaves what links in it lead to. */
export function removeSockets(directory: string): void {
  const above = native.openat(AT.FDCWD, toBytes(dirname(directory)), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (above < 0) return;
  takeBack(directory);
  const { status } = removeTree(above, toBytes(basename(directory)));
  native.close(above);
  if (status < 0) say(directory, `the directory of the mount's sockets cannot be removed (${errnoName(-status)}): remove it`);
}

/** Ends the process when it holds nothing any more. exit() alone would wait for a thread that closes a descriptor which a hostile server sent. */
export async function leave(code: number): Promise<never> {
  for (const untilMs = Date.now() + CLOSING_LIMIT_MS; discardsPend() && Date.now() < untilMs; ) await sleep(POLL_MS);
  if (discardsPend()) process.kill(process.pid, "SIGKILL");
  leaveNow(code);
}
