/** The mount as others see it: finding it in the mount table, unmounting by fusermount or umount, aborting its connection. */
import { execFile } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Errno } from "@sluice/vfs";

const COMMAND_TIMEOUT_MS = 20_000;

/** The path of a command in PATH; undefined if it is missing. */
export function findCommand(name: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    try {
      const path = join(directory, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this directory: try the next one.
    }
  }
  return undefined;
}

/** The minor device number of the last mount at `path` (a byte string), read without touching the mount; undefined: none. */
export function connectionAt(path: string): string | undefined {
  const escaped = path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
  let found: string | undefined;
  for (const line of readFileSync("/proc/self/mountinfo", "latin1").split("\n")) {
    const fields = line.split(" ");
    if (fields[4] === escaped) found = fields[2]?.split(":")[1];
  }
  return found;
}

/** Our descriptors on /dev/fuse. */
export function fuseDescriptors(): Set<number> {
  return new Set(
    readdirSync("/proc/self/fd")
      .map(Number)
      .filter((fd) => isFuseDescriptor(fd)),
  );
}

export function isFuseDescriptor(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === "/dev/fuse";
  } catch {
    return false;
  }
}

function errnoOf(message: string): number {
  if (/busy/i.test(message)) return Errno.EBUSY;
  if (/not mounted|not found|no mount point|invalid argument/i.test(message)) return Errno.EINVAL;
  if (/permitted|permission|must be superuser/i.test(message)) return Errno.EPERM;
  return Errno.EIO;
}

function run(command: string, argv: string[]): Promise<number> {
  return new Promise((resolve) => {
    const options = { timeout: COMMAND_TIMEOUT_MS, env: { ...process.env, LC_ALL: "C" } };
    execFile(command, argv, options, (error, _stdout, stderr) => resolve(error === null ? 0 : errnoOf(`${stderr} ${error.message}`)));
  });
}

/** 0 or a positive errno: EBUSY in use, EINVAL no mount there, EPERM not ours. `path` as text. */
export async function unmountAt(path: string, lazy: boolean): Promise<number> {
  const umount = findCommand("umount");
  if (process.geteuid?.() === 0 && umount !== undefined) {
    // -i: no helper of the file system is called.
    return run(umount, ["-i", ...(lazy ? ["-l"] : []), "--", path]);
  }
  const fusermount = findCommand("fusermount") ?? findCommand("fusermount3");
  if (fusermount === undefined) return Errno.ENOSYS;
  return run(fusermount, ["-u", ...(lazy ? ["-z"] : []), "--", path]);
}

/**
 * Every caller gets ENOTCONN: through sysfs, else by a forced unmount. Both need privilege; without it the mount is at least
 * detached.
 */
export async function abortConnection(connection: string | undefined, path: string): Promise<void> {
  try {
    if (connection !== undefined) {
      writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, "1");
      return;
    }
  } catch {
    // No sysfs here, or read-only, or not ours.
  }
  const umount = findCommand("umount");
  const forced = umount === undefined ? Errno.ENOSYS : await run(umount, ["-i", "-f", "--", path]);
  if (forced !== 0) await unmountAt(path, true);
}
