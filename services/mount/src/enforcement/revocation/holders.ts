/**
 * Finds the processes that hold files of this mount, in /proc: by open descriptors and by mappings. The opener may have passed the
 * descriptor on, or ended; a mapping outlives its descriptor, and the kernel does not tell the daemon of it.
 *
 * The threads of a process have one memory. But each of them may have descriptors of its own (unshare(2) with CLONE_FILES), and the first
 * one may have ended before the others: then its files in /proc say nothing.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { native } from "@sluice/native";
import { AT, Attr, Errno, LoopTurn } from "@sluice/vfs";
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
/** The first one looks at all processes, and each later one at those that began meanwhile. */
const MAX_ROUNDS = 64;
const OWNER_WRITES = 0o200;
const AT_STATX_DONT_SYNC = 0x4000;
const attr = new Attr();

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
  return (await search({ device, inos, mappingsAlone: false })).holders;
}

/**
 * Does a process that shows in /proc have one of these files mapped for writing, or any file if `inos` is undefined? By passthrough that
 * changes the layer without a request. True if processes begin faster than they can be looked at.
 */
export async function isMappedForWriting(device: string, inos?: ReadonlySet<bigint>): Promise<boolean> {
  const { holders, complete } = await search({ device, inos, mappingsAlone: true });
  return !complete || holders.some(({ writes }) => writes);
}

interface Wanted {
  device: string;
  inos: ReadonlySet<bigint> | undefined;
  /** No descriptors. */
  mappingsAlone: boolean;
}

/** A process can leave its mappings to a child that was not there yet. So the search ends once no process is new. */
async function search(wanted: Wanted): Promise<{ holders: Holder[]; complete: boolean }> {
  const holders: Holder[] = [];
  const seen = new Set([String(process.pid)]);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const fresh = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && !seen.has(name));
    if (fresh.length === 0) return { holders, complete: true };
    for (const name of fresh) {
      seen.add(name);
      holders.push(...(await holdersUnlessGone(Number(name), wanted)));
    }
  }
  return { holders, complete: false };
}

async function holdersUnlessGone(pid: number, wanted: Wanted): Promise<Holder[]> {
  try {
    return await holdersIn(pid, wanted);
  } catch (error) {
    // It ended meanwhile, or it is a kernel thread: neither may fail the whole search.
    if (!["ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL"].includes(codeOf(error))) throw error;
    return [];
  }
}

/** The threads from the first one that has not ended: none of a kernel thread, as half of the processes are, nor of an ended process. */
function threadsOf(pid: number): string[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const first = threads.findIndex(hasMemory);
  return first < 0 ? [] : threads.slice(first);
}

function hasMemory(thread: string): boolean {
  try {
    readlinkSync(`/proc/${thread}/exe`);
    return true;
  } catch (error) {
    return codeOf(error) !== "ENOENT";
  }
}

/** A file that a thread holds. */
type Holding = Omit<Holder, "uid" | "gid" | "pid"> & { readonly thread: string };

async function holdersIn(pid: number, { device, inos, mappingsAlone }: Wanted): Promise<Holder[]> {
  const threads = threadsOf(pid);
  const [first] = threads;
  if (first === undefined) return [];
  const held = new Map<string, Holding>();
  const note = (holding: Holding): void => {
    if (inos !== undefined && !inos.has(holding.ino)) return;
    const key = `${holding.by} ${holding.ino}`;
    const known = held.get(key);
    // All threads may show the same descriptor.
    if (known === undefined || (holding.writes && !known.writes)) held.set(key, holding);
  };
  // A process may have 65,530 mappings, and as many mounts as it likes.
  const turn = new LoopTurn();
  const shown = shownInMaps(device);
  // The kernel may wait here for a lock that a caller of this mount has until it is answered. All other files of /proc are read without one,
  // and so in this thread: that takes a tenth of the processor time.
  const maps = await readFile(`/proc/${first}/maps`, "latin1");
  for (const line of maps.includes(shown) ? maps.split("\n") : []) {
    const mapping = parseMapping(line, shown, first);
    if (mapping !== undefined) note(mapping);
    if (turn.isOver) await turn.next();
  }
  for (const thread of mappingsAlone ? [] : threads) for (const descriptor of await descriptorsOf(thread, device)) note(descriptor);
  const holders: Holder[] = [];
  const ids = new Map<string, Ids>();
  for (const { thread, ...holding } of held.values()) {
    if (!ids.has(thread)) ids.set(thread, idsOf(pid, thread));
    holders.push({ ...holding, pid, ...(ids.get(thread) as Ids) });
    if (turn.isOver) await turn.next();
  }
  return holders;
}

type Ids = Pick<Holder, "uid" | "gid">;

function idsOf(pid: number, thread: string): Ids {
  const status = unlessEnded(() => readFileSync(`/proc/${thread}/status`, "latin1")) ?? readFileSync(`/proc/${pid}/status`, "latin1");
  // The fourth number is the one that file systems check.
  const idOf = (name: string): number => Number(new RegExp(`^${name}:(?:\\t\\d+){3}\\t(\\d+)`, "m").exec(status)?.[1] ?? -1);
  return { uid: idOf("Uid"), gid: idOf("Gid") };
}

/** "0:45" as /proc/PID/maps has it: "00:2d" (fs/proc/task_mmu.c, show_vma_header_prefix). */
function shownInMaps(device: string): string {
  const numbers = device.split(":").map((number) => Number(number).toString(16).padStart(2, "0"));
  return numbers.join(":");
}

/** A line: "7f12-7f13 rw-s 00001000 00:2d 123  /mnt/view/file". The device in hexadecimal, the inode not. */
function parseMapping(line: string, shown: string, thread: string): Holding | undefined {
  const [, range = "", permissions = "", dev = "", ino = "0", path = ""] = /^(\S+) (\S+) \S+ (\S+) (\d+)\s*(.*)$/.exec(line) ?? [];
  if (dev !== shown || ino === "0") return undefined;
  const writes = permissions[3] === "s" && (permissions[1] === "w" || isOpenForWriting(thread, range));
  return { ino: BigInt(ino), by: "mapping", writes, path, thread };
}

/** Then mprotect(2) makes the mapping writable. The mode of the link is that of the mapped open file (fs/proc/base.c). */
function isOpenForWriting(thread: string, range: string): boolean {
  try {
    return (lstatSync(`/proc/${thread}/map_files/${range}`).mode & OWNER_WRITES) !== 0;
  } catch {
    return false; // It is unmapped by now, or this process may not look.
  }
}

/** A thread that ends meanwhile does not end the search in its process. */
function unlessEnded<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes(codeOf(error))) throw error;
    return undefined;
  }
}

/** Their own, wherever they lie: a process may have left the mount namespace in which it opened them, or the directories above. */
async function descriptorsOf(thread: string, device: string): Promise<Holding[]> {
  const found: Holding[] = [];
  const turn = new LoopTurn();
  for (const name of unlessEnded(() => readdirSync(`/proc/${thread}/fd`)) ?? []) {
    if (turn.isOver) await turn.next();
    const ino = leadsToFile(thread, name) ? inoOn(device, `/proc/${thread}/fd/${name}`) : undefined;
    if (ino === undefined) continue;
    const [, flags = "0"] = /^flags:\t(\d+)$/m.exec(fdinfoOf(thread, name)) ?? [];
    const writes = (Number.parseInt(flags, 8) & ACCMODE) !== 0;
    found.push({ ino, by: "descriptor", writes, path: pathOf(thread, name), thread });
  }
  return found;
}

/** The inode number of an object of the device, else undefined. The kernel answers without asking the file system: it may be this one. */
function inoOn(device: string, link: string): bigint | undefined {
  if (native.statx(AT.FDCWD, link, AT_STATX_DONT_SYNC, attr.words) < 0) return undefined;
  const [low = 0, high = 0] = attr.words;
  return `${attr.devMajor}:${attr.devMinor}` === device ? (BigInt(high) << 32n) | BigInt(low) : undefined;
}

/**
 * Not to a pipe, a socket or another object without a path, which most descriptors are: nothing else is read for these. The kernel answers
 * without asking the file system, and without a lock that a caller of this mount may hold.
 */
function leadsToFile(thread: string, fd: string): boolean {
  try {
    return readlinkSync(`/proc/${thread}/fd/${fd}`, "latin1").startsWith("/");
  } catch {
    // Its path is too long (ENAMETOOLONG), or it was closed meanwhile.
    return true;
  }
}

function fdinfoOf(thread: string, fd: string): string {
  try {
    return readFileSync(`/proc/${thread}/fdinfo/${fd}`, "latin1");
  } catch {
    return ""; // It was closed meanwhile.
  }
}

/** The kernel answers without asking the file system. */
function pathOf(thread: string, fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/${thread}/fd/${fd}`, "latin1");
  } catch {
    return undefined;
  }
}

/** Checks again while it holds a pidfd: the pid may belong to another process by now. @returns 0, or the negative errno */
export async function signalHolder(holder: Holder, device: string, signal: number): Promise<number> {
  const pidfd = native.pidfdOpen(holder.pid);
  if (pidfd < 0) return pidfd;
  try {
    const still = await holdersIn(holder.pid, { device, inos: new Set([holder.ino]), mappingsAlone: false });
    return still.length === 0 ? -Errno.ESRCH : native.pidfdSendSignal(pidfd, signal);
  } catch {
    return -Errno.ESRCH;
  } finally {
    native.close(pidfd);
  }
}
