/** `sluice unmount`: asks the daemon, or the kernel if there is no daemon. It cuts users off only with --force. */
import { statfsSync } from "node:fs";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Errno, errnoName } from "@sluice/vfs";
import type { Command } from "commander";
import { codeOf, escapeLine, failed, unfit, wrong } from "@sluice/runtime/cli";
import {
  ask,
  type Busy,
  connectControl,
  EndedDaemon,
  mountAt,
  noSluiceMount,
  readMountTable,
  realMountpoint,
  removeRunDirectories,
  SilentDaemon,
  SLUICE_TYPE,
  type Unmounted,
} from "@sluice/mount-control";
import { bindsElsewhere, findMountUsers, usersInWords } from "@sluice/service-mount/users";
import { controlOption } from "./shared-options.js";
import { unmountByKernel } from "./unmount-by-kernel.js";

const RETRY_MS = 200;
/** No more than two servers in a row end during a request. */
const ASK_AT_MOST = 3;

const HELP = `
The command does not unmount a mount in use: it names the users (program, pid, file), and ends with exit code 4. With --wait it waits
for them. With --force it cuts them off and names them; their open files fail with ENOTCONN from then on.

When the command returns, nothing holds the layers' file systems any more: they can be unmounted at once.

Exit codes: 0 unmounted, 1 failed, 2 the command line is wrong, 4 the mount is in use, or no Sluice mount is there.
`;

interface UnmountArguments {
  control?: string;
  /** True: without a limit. */
  wait?: string | true;
  force?: boolean;
}

interface Attempt {
  /** Undefined if it is unmounted. */
  busy: Busy | undefined;
  /** For people, once it is unmounted. */
  said: string;
}

/** The daemon could only end, and its mount would stay below the other one. */
function refuseCovered(mountpoint: string): void {
  const real = realMountpoint(mountpoint);
  const types = readMountTable().flatMap((row) => (row.mountpoint === real ? [row.type] : []));
  if (types.at(-1) === SLUICE_TYPE || !types.includes(SLUICE_TYPE)) return;
  throw unfit(mountpoint, `a mount of type ${types.at(-1)} covers it (EBUSY)`, "unmount that one first, by umount");
}

function isStale(real: string): boolean {
  try {
    statfsSync(real);
    return false;
  } catch (error) {
    return codeOf(error) === "ENOTCONN";
  }
}

interface Unanswered {
  force: boolean;
  /** Its server has died; undefined: nobody knows yet. */
  stale?: boolean;
}

/** For a mount without a daemon that answers. */
function attemptByKernel(mountpoint: string, { force, stale }: Unanswered): Attempt {
  const real = realMountpoint(mountpoint);
  const noMount = noSluiceMount(mountpoint);
  if (noMount !== undefined) throw noMount;
  const isDead = stale ?? isStale(real);
  const device = mountAt(real, readMountTable())?.device ?? "";
  const status = unmountByKernel(real, isDead ? { lazy: true } : { cut: force });
  if (status < 0) return { busy: { errno: errnoName(-status), device }, said: "" };
  if (isDead) removeRunDirectories(real);
  return { busy: undefined, said: isDead ? `cleaned up the stale mount ${mountpoint}` : `unmounted ${mountpoint}` };
}

interface Asking {
  force: boolean;
  /** How often a daemon was asked for an unmount already. */
  asked: number;
}

/** A daemon that was asked may have unmounted since. One that ended before it answered may have left the mount to the next one. */
async function attempt(mountpoint: string, control: string | undefined, { force, asked }: Asking): Promise<Attempt> {
  const socket = await connectControl(mountpoint, control);
  if (socket === undefined) {
    const isGone = asked > 0 && mountAt(realMountpoint(mountpoint), readMountTable()) === undefined;
    return isGone ? { busy: undefined, said: `unmounted ${mountpoint}` } : attemptByKernel(mountpoint, { force });
  }
  try {
    return await attemptByDaemon(socket, mountpoint, force);
  } catch (error) {
    if (!(error instanceof EndedDaemon) || asked + 1 >= ASK_AT_MOST) throw error;
  }
  return attempt(mountpoint, control, { force, asked: asked + 1 });
}

async function attemptByDaemon(socket: Socket, mountpoint: string, force: boolean): Promise<Attempt> {
  for await (const item of ask(socket, { method: "unmount", force }, mountpoint)) {
    const answer = item as Busy | Unmounted;
    return { busy: "unmounted" in answer ? undefined : answer, said: `unmounted ${mountpoint}` };
  }
  throw failed(mountpoint, "the daemon gave no answer (EPROTO)", "see its log");
}

async function usersOf(mountpoint: string, { device }: Busy): Promise<string> {
  const real = realMountpoint(mountpoint);
  const users = await findMountUsers(device, real, readMountTable());
  return usersInWords(users.length > 0 ? users : await bindsElsewhere(device, real));
}

async function inUse(mountpoint: string, busy: Busy): Promise<Error> {
  if (busy.errno !== errnoName(Errno.EBUSY)) {
    const unprivileged = `run as root, or see what 'fusermount3 -uz ${mountpoint}' says`;
    const remedy = busy.errno === "EPERM" ? unprivileged : "see 'findmnt' and the daemon's log";
    return failed(mountpoint, `it cannot be unmounted (${busy.errno})`, remedy);
  }
  const users = await usersOf(mountpoint, busy);
  return unfit(mountpoint, `it is in use by ${users} (EBUSY)`, "end them, wait for them with --wait, or cut them off with --force");
}

async function waitLimitMs(wait: string | true | undefined): Promise<number> {
  if (wait === undefined) return 0;
  if (wait === true) return Number.POSITIVE_INFINITY;
  const { durationOption } = await import("@sluice/service-mount/options");
  return durationOption(wait, "--wait");
}

/** A daemon that said that a copy of the mount was left elsewhere ends with that copy. */
function attemptAgain(mountpoint: string, control: string | undefined, force: boolean): Promise<Attempt> {
  return attempt(mountpoint, control, { force, asked: 1 });
}

async function attemptUntil(limitMs: number, mountpoint: string, control: string | undefined): Promise<Attempt> {
  let last = await attempt(mountpoint, control, { force: false, asked: 0 });
  if (last.busy === undefined || limitMs === 0) return last;
  const limit = limitMs === Number.POSITIVE_INFINITY ? "" : ` up to ${limitMs / 1000} s`;
  process.stderr.write(`sluice: ${mountpoint}: it is in use by ${await usersOf(mountpoint, last.busy)}: waiting${limit}\n`);
  for (const untilMs = Date.now() + limitMs; last.busy !== undefined && Date.now() < untilMs; ) {
    await sleep(RETRY_MS);
    last = await attemptAgain(mountpoint, control, false);
  }
  return last;
}

interface Patience {
  limitMs: number;
  force: boolean;
}

async function attemptThenForce(mountpoint: string, control: string | undefined, { limitMs, force }: Patience): Promise<Attempt> {
  const last = await attemptUntil(limitMs, mountpoint, control);
  if (last.busy === undefined || !force) return last;
  const users = await usersOf(mountpoint, last.busy);
  const cut = await attemptAgain(mountpoint, control, true);
  if (cut.busy === undefined) process.stderr.write(`sluice: ${mountpoint}: cut off: ${users}\n`);
  return cut;
}

/** Its daemon is stopped, or hangs, and so does each call of a user. */
async function forceWithoutDaemon(mountpoint: string): Promise<Attempt> {
  const device = mountAt(realMountpoint(mountpoint), readMountTable())?.device ?? "";
  const users = await usersOf(mountpoint, { errno: "", device });
  const last = attemptByKernel(mountpoint, { force: true, stale: false });
  if (last.busy === undefined) {
    const daemon = "its daemon does not answer (see whether it is stopped), and ends when it can";
    process.stderr.write(`sluice: ${mountpoint}: ${daemon}; cut off: ${users}\n`);
  }
  return last;
}

async function unmount(given: string, { wait, force = false, control: socket }: UnmountArguments): Promise<void> {
  const mountpoint = resolve(given);
  const control = socket === undefined ? undefined : resolve(socket);
  // This process would use the mount itself if it was called there.
  process.chdir("/");
  refuseCovered(mountpoint);
  const patience = { limitMs: await waitLimitMs(wait), force };
  const last = await attemptThenForce(mountpoint, control, patience).catch((error: unknown) => {
    if (force && error instanceof SilentDaemon) return forceWithoutDaemon(mountpoint);
    throw error;
  });
  if (last.busy !== undefined) throw await inUse(mountpoint, last.busy);
  process.stdout.write(`${escapeLine(last.said)}\n`);
}

/** The parser takes the mount point in `--wait MOUNTPOINT` for a duration. */
function unmountTyped(mountpoint: string | undefined, args: UnmountArguments): Promise<void> {
  if (mountpoint !== undefined) return unmount(mountpoint, args);
  if (typeof args.wait === "string") return unmount(args.wait, { ...args, wait: true });
  throw wrong("unmount", "no mount point is given", "name it");
}

export function addUnmountCommand(program: Command): void {
  program
    .command("unmount")
    .description("unmount, unless the mount is in use; clean up a stale mount that a crash left")
    .argument("[mountpoint]", "as 'sluice status' lists it")
    .option("--wait [duration]", "wait for its users; without a duration, with no limit")
    .option("--force", "cut its users off (after --wait, if that is given)")
    .addOption(controlOption())
    .addHelpText("after", HELP)
    .action(unmountTyped);
}
