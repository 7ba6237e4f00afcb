/**
 * Finds the users that keep a mount from being unmounted: open files and mappings, working and root directories, mounts below it. It sees
 * the processes that this process may inspect, and sends no request to the mount, whose server may be this very process.
 */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { native } from "@sluice/native";
import { escapeName, escapeTextName } from "@sluice/runtime/cli";
import { AT, Attr, O } from "@sluice/vfs";
import { findHolders } from "../enforcement/revocation/holders.js";
import { isBeneath, type MountRow, readMountTable } from "@sluice/mount-control";

const AT_STATX_DONT_SYNC = 0x4000;
const SHOWN_AT_MOST = 8;
const attr = new Attr();

/** Empty if it sees nobody. `device` is the mount's, "major:minor"; `mountpoint` a real path. */
export async function findMountUsers(device: string, mountpoint: string, table: readonly MountRow[]): Promise<string[]> {
  const users = new Set<string>();
  for (const { pid, writes, by, path = "" } of await findHolders(device, undefined)) {
    const how = by === "mapping" ? (writes ? "maps, and writes," : "maps") : writes ? "writes" : "reads";
    users.add(`${programOf(pid)} (pid ${pid} ${how} ${escapeName(path)})`);
  }
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    if (isOn(`/proc/${pid}/cwd`, device)) users.add(`${programOf(Number(pid))} (pid ${pid} has its working directory there)`);
    if (isOn(`/proc/${pid}/root`, device)) users.add(`${programOf(Number(pid))} (pid ${pid} has its root directory there)`);
  }
  for (const row of mountsOver(device, mountpoint, table))
    users.add(`the mount of ${escapeTextName(row.source)} (${row.type}) on ${escapeTextName(row.mountpoint)}`);
  return [...users];
}

/** Those beneath it, and those that cover it. */
function mountsOver(device: string, mountpoint: string, table: readonly MountRow[]): readonly MountRow[] {
  const own = table.findIndex((row) => row.mountpoint === mountpoint && row.device === device);
  return table.filter((row, at) => isBeneath(row.mountpoint, mountpoint) && (row.mountpoint !== mountpoint || (own >= 0 && at > own)));
}

/**
 * Places to which somebody bound the mount, such as a volume of a container, in any mount namespace. The copy at its own place does not
 * count: whoever makes a mount namespace takes one along.
 */
export async function bindsElsewhere(device: string, mountpoint: string): Promise<string[]> {
  const binds = new Set<string>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    for (const row of mountsOf(pid)) {
      const own = row.root === "/" && row.mountpoint === mountpoint;
      if (row.device === device && !own)
        binds.add(`the mount on ${escapeTextName(row.mountpoint)} (${programOf(Number(pid))}, pid ${pid})`);
    }
  }
  return [...binds];
}

function mountsOf(pid: string): readonly MountRow[] {
  try {
    return readMountTable(readFileSync(`/proc/${pid}/mountinfo`, "latin1"));
  } catch {
    return []; // It has ended.
  }
}

/** For a message. */
export function usersInWords(users: readonly string[]): string {
  if (users.length === 0) return "a call under way, or users that this process cannot see in /proc";
  const more = users.length - SHOWN_AT_MOST;
  return [...users.slice(0, SHOWN_AT_MOST), ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

function programOf(pid: number): string {
  try {
    return escapeName(readFileSync(`/proc/${pid}/comm`, "latin1").replace(/\n$/, ""));
  } catch {
    return "a process that has ended";
  }
}

/** O_PATH and DONT_SYNC: the kernel answers without asking the file system. */
function isOn(link: string, device: string): boolean {
  const fd = native.openat(AT.FDCWD, link, O.PATH | O.CLOEXEC, 0);
  if (fd < 0) return false;
  const status = native.statx(fd, "", AT.EMPTY_PATH | AT_STATX_DONT_SYNC, attr.words);
  native.close(fd);
  return status === 0 && `${attr.devMajor}:${attr.devMinor}` === device;
}
