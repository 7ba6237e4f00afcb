/** The start and the end of both kinds of keeper: the setup of the process, the mount's resources, and the clean-up. */
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LayerError, type MountPlan, untilLetGo } from "@sluice/keeper-link";
import { leaveNow, native, removeTree, toBytes } from "@sluice/native";
import { AT, errnoName, FsError, O } from "@sluice/vfs";
import { discardsPend } from "./discard.js";
import { MountResources } from "./mount-resources.js";

export const FAILED = 1;
export const UNFIT = 4;
const CLOSING_LIMIT_MS = 2_000;
const POLL_MS = 10;

export function say(what: string, text: string): void {
  process.stderr.write(`sluice: ${`${what}: ${text}`.replace(/[\p{Cc}\p{Cf}]/gu, " ")}\n`);
}

/** @returns an exit code if the resources cannot be opened; then the reason is on standard error */
export async function openResources({ plan }: { plan: MountPlan }): Promise<MountResources | number> {
  try {
    // Opened by their paths, which an ordinary user could lead elsewhere.
    if (plan.caller === undefined) await untilLetGo(plan.upper, plan.work);
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
  // The reader of the mount's first line may have closed the pipe since.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
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
