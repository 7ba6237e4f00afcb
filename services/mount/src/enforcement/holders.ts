/**
 * Finds the processes that hold files of this mount, in /proc: by open descriptors and by mappings. The opener may have passed the
 * descriptor on, or ended; a mapping outlives its descriptor, and the kernel does not tell the daemon of it.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { native } from "@sluice/native";
import { Errno, LoopTurn } from "@sluice/vfs";
import { codeOf } from "@sluice/runtime/cli";

export interface Holder {
  pid: number;
  uid: number;
  gid: number;
  /** st_ino in the mount. */
  ino: bigint;
  by: "descriptor" | "mapping";
  writes: boolean;
  /** The path in the holder's mount namespace, as bytes. */
  path: string | undefined;
}

/** The inode number of the machine's own pid namespace (include/linux/proc_ns.h PROC_PID_INIT_INO). */
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";
const ACCMODE = 3;

/** The reason why some holders may be invisible from here; undefined: none are. */
export function holdersUnseen(): string | undefined {
  if (readlinkSync("/proc/self/ns/pid") !== INITIAL_PID_NAMESPACE) {
    return "this is a pid namespace of its own: processes outside of it do not show in /proc";
  }
  const options = /^\S+ \S+ \S+ \S+ \/proc .* - proc \S+ (\S+)$/m.exec(readFileSync("/proc/self/mountinfo", "latin1"))?.[1] ?? "";
  if (/hidepid=(?!0|off)/.test(options)) return "/proc is mounted with hidepid";
  return undefined;
}

/** Holders of files on `device` ("major:minor"), of these inodes, or of all if undefined. The daemon itself is left out. */
export async function findHolders(device: string, inos: ReadonlySet<bigint> | undefined): Promise<Holder[]> {
  const found: Holder[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid || !hasMemory(name)) continue;
    try {
      found.push(...(await holdersIn(Number(name), device, inos)));
    } catch (error) {
      // It ended meanwhile, or it is a kernel thread: neither may fail the whole search.
      if (!["ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL"].includes(codeOf(error))) throw error;
    }
  }
  return found;
}

/**
 * Does a process that shows in /proc have one of these files mapped for writing, or any file if `inos` is undefined? By passthrough that
 * changes the layer without a request.
 */
export async function isMappedForWriting(device: string, inos?: ReadonlySet<bigint>): Promise<boolean> {
  return (await findHolders(device, inos)).some(({ by, writes }) => by === "mapping" && writes);
}

/** Not a kernel thread, as half of the processes are, nor one that has ended. */
function hasMemory(pid: string): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`);
    return true;
  } catch (error) {
    return codeOf(error) !== "ENOENT";
  }
}

async function holdersIn(pid: number, device: string, inos: ReadonlySet<bigint> | undefined): Promise<Holder[]> {
  const held = new Map<string, Omit<Holder, "uid" | "gid">>();
  const note = (holding: Omit<Holder, "uid" | "gid" | "pid">): void => {
    if (inos !== undefined && !inos.has(holding.ino)) return;
    const key = `${holding.by} ${holding.ino}`;
    const known = held.get(key);
    held.set(key, { ...holding, pid, writes: holding.writes || known?.writes === true });
  };
  // A process may have 65,530 mappings, and as many mounts as it likes.
  const turn = new LoopTurn();
  const shown = shownInMaps(device);
  // The kernel may wait here for a lock that a caller of this mount has until it is answered. All other files of /proc are read without one,
  // and so in this thread: that takes a tenth of the processor time.
  const maps = await readFile(`/proc/${pid}/maps`, "latin1");
  for (const line of maps.includes(shown) ? maps.split("\n") : []) {
    const mapping = parseMapping(line, shown);
    if (mapping !== undefined) note(mapping);
    if (turn.isOver) await turn.next();
  }
  for (const descriptor of await descriptorsOf(pid, device)) note(descriptor);
  if (held.size === 0) return [];
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  // The fourth number is the one that file systems check.
  const idOf = (name: string): number => Number(new RegExp(`^${name}:(?:\\t\\d+){3}\\t(\\d+)`, "m").exec(status)?.[1] ?? -1);
  const [uid, gid] = [idOf("Uid"), idOf("Gid")];
  return [...held.values()].map((holding) => ({ ...holding, uid, gid }));
}

/** "0:45" as /proc/PID/maps has it: "00:2d" (fs/proc/task_mmu.c, show_vma_header_prefix). */
function shownInMaps(device: string): string {
  const numbers = device.split(":").map((number) => Number(number).toString(16).padStart(2, "0"));
  return numbers.join(":");
}

/** A line: "7f12-7f13 rw-s 00001000 00:2d 123  /mnt/view/file". The device in hexadecimal, the inode not. */
function parseMapping(line: string, shown: string): Omit<Holder, "uid" | "gid" | "pid"> | undefined {
  const [, permissions = "", dev = "", ino = "0", path = ""] = /^\S+ (\S+) \S+ (\S+) (\d+)\s*(.*)$/.exec(line) ?? [];
  if (dev !== shown || ino === "0") return undefined;
  return { ino: BigInt(ino), by: "mapping", writes: permissions[1] === "w" && permissions[3] === "s", path };
}

/**
 * A stat of /proc/PID/fd/N would ask this mount, and so this very process. Instead the device comes from the mount's number, by the mount
 * table of the holder's own namespace.
 */
async function descriptorsOf(pid: number, device: string): Promise<Omit<Holder, "uid" | "gid" | "pid">[]> {
  const found: (Omit<Holder, "uid" | "gid" | "pid"> & { mountId: string; name: string })[] = [];
  const turn = new LoopTurn();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    if (turn.isOver) await turn.next();
    if (!leadsToFile(pid, name)) continue;
    const info = fdinfoOf(pid, name);
    const [, flags = "0"] = /^flags:\t(\d+)$/m.exec(info) ?? [];
    const [, mountId] = /^mnt_id:\t(\d+)$/m.exec(info) ?? [];
    const [, ino] = /^ino:\t(\d+)$/m.exec(info) ?? [];
    if (mountId === undefined || ino === undefined) continue;
    const writes = (Number.parseInt(flags, 8) & ACCMODE) !== 0;
    found.push({ ino: BigInt(ino), by: "descriptor", writes, path: undefined, mountId, name });
  }
  if (found.length === 0) return [];
  const table = readFileSync(`/proc/${pid}/mountinfo`, "latin1");
  const ours = new Set<string | undefined>();
  for (const [, id, on] of table.matchAll(/^(\d+) \d+ (\S+) /gm)) {
    if (on === device) ours.add(id);
    if (turn.isOver) await turn.next();
  }
  const held = found.filter(({ mountId }) => ours.has(mountId));
  return held.map(({ mountId: _mountId, name, ...holding }) => ({ ...holding, path: pathOf(pid, name) }));
}

/**
 * Not to a pipe, a socket or another object without a path, which most descriptors are: no `fdinfo` is read for these. The kernel answers
 * without asking the file system, and without a lock that a caller of this mount may hold.
 */
function leadsToFile(pid: number, fd: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`, "latin1").startsWith("/");
  } catch {
    // Its path is too long (ENAMETOOLONG), or it was closed meanwhile.
    return true;
  }
}

function fdinfoOf(pid: number, fd: string): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
  } catch {
    return ""; // It was closed meanwhile.
  }
}

/** The kernel answers without asking the file system. */
function pathOf(pid: number, fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`, "latin1");
  } catch {
    return undefined;
  }
}

/** Checks again while it holds a pidfd: the pid may belong to another process by now. @returns 0, or the negative errno */
export async function signalHolder(holder: Holder, device: string, signal: number): Promise<number> {
  const pidfd = native.pidfdOpen(holder.pid);
  if (pidfd < 0) return pidfd;
  try {
    const still = await holdersIn(holder.pid, device, new Set([holder.ino]));
    return still.length === 0 ? -Errno.ESRCH : native.pidfdSendSignal(pidfd, signal);
  } catch {
    return -Errno.ESRCH;
  } finally {
    native.close(pidfd);
  }
}
