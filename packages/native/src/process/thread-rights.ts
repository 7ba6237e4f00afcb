/** The rights of this process, thread by thread: the kernel keeps them so, and the C library changes those of all threads one after another. */
import { readdirSync, readFileSync } from "node:fs";

interface ThreadRights {
  /** Real, effective, saved and of the file system. */
  uids: number[];
  gids: number[];
  groups: number[];
  /** Permitted, effective, inheritable and ambient ones together. */
  capabilities: bigint;
  noNewPrivileges: boolean;
}

/** The lines of /proc/PID/status that count here. */
const LINES = /^(?:Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):.*$/gm;

const numbers = (text: string): number[] => text.split(/\s+/).filter(Boolean).map(Number);

function rightsOf(lines: string): ThreadRights {
  const fields = new Map(lines.split("\n").map((line) => line.split(":") as [string, string]));
  const field = (name: string): string => fields.get(name)?.trim() ?? "";
  return {
    uids: numbers(field("Uid")),
    gids: numbers(field("Gid")),
    groups: numbers(field("Groups")),
    capabilities: ["CapInh", "CapPrm", "CapEff", "CapAmb"].reduce((all, name) => all | BigInt(`0x${field(name)}`), 0n),
    noNewPrivileges: field("NoNewPrivs") === "1",
  };
}

/** Undefined if the thread has ended since it was listed. */
function statusOf(thread: string): string | undefined {
  try {
    return readFileSync(`/proc/self/task/${thread}/status`, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

function everyThread(holds: (rights: ThreadRights) => boolean): boolean {
  // Of these the thread that asks has not ended.
  const statuses = readdirSync("/proc/self/task")
    .map(statusOf)
    .filter((status) => status !== undefined);
  // Mostly they are the same for all threads.
  const different = new Set(statuses.map((status) => status.match(LINES)?.join("\n") ?? ""));
  return different.size > 0 && [...different].every((lines) => holds(rightsOf(lines)));
}

/** In ascending order, each once. A process may list its own group among the supplementary ones. */
const sorted = (groups: readonly number[], gid: number): string => [...new Set([...groups, gid])].sort((a, b) => a - b).join();

/** Every thread has these ids and groups, no capability, and cannot get any. @throws if /proc is missing */
export function everyThreadIsUser(uid: number, gid: number, groups: readonly number[]): boolean {
  return everyThread(
    ({ uids, gids, groups: own, capabilities, noNewPrivileges }) =>
      [uids.length, gids.length].every((count) => count === 4) &&
      uids.every((id) => id === uid) &&
      gids.every((id) => id === gid) &&
      sorted(own, gid) === sorted(groups, gid) &&
      capabilities === 0n &&
      noNewPrivileges,
  );
}

/** No thread has a capability beyond `mask`, nor can get one. @throws if /proc is missing */
export function everyThreadWithin(mask: bigint): boolean {
  return everyThread(({ capabilities, noNewPrivileges }) => (capabilities & ~mask) === 0n && noNewPrivileges);
}
