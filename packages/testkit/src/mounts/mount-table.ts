// The mount table of this process. Reads text only: it never touches a mount, so it cannot hang on one.
import { readdirSync, readFileSync } from "node:fs";

export interface MountEntry {
  mountpoint: string;
  /** "fuse.sluice", "overlay", ... */
  type: string;
  source: string;
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** In the order they were mounted. Paths are byte strings. */
export function mountTable(): MountEntry[] {
  const lines = readFileSync("/proc/self/mountinfo", "latin1").trim().split("\n");
  return lines.map((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [type = "", source = ""] = after.split(" ");
    return { mountpoint: unescape(before.split(" ")[4] ?? ""), type, source: unescape(source) };
  });
}

/** Mounts at or below `path` (a byte string), the last mounted first: the order to unmount in. */
export function mountsBelow(path: string): MountEntry[] {
  const below = mountTable().filter(({ mountpoint }) => mountpoint === path || mountpoint.startsWith(`${path}/`));
  return below.reverse();
}

function mountTableOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, "latin1");
  } catch {
    return ""; // It has ended.
  }
}

export interface MountedSystem {
  /** "major:minor". The kernel gives the number away again as soon as the file system is gone. */
  device: string;
  /** Type, source and options, as the mount table writes them. */
  description: string;
}

/** The file system of the topmost mount at `path` (a byte string). */
export function systemAt(path: string): MountedSystem | undefined {
  const lines = readFileSync("/proc/self/mountinfo", "latin1").trim().split("\n").reverse();
  const line = lines.find((each) => unescape(each.split(" ")[4] ?? "") === path);
  const [before = "", description = ""] = line?.split(" - ") ?? [];
  return line === undefined ? undefined : { device: before.split(" ")[2] ?? "", description };
}

/** Whether a process sees a mount of it in its mount namespace: a namespace that was made meanwhile has copies of all mounts. */
export function isMountedAnywhere({ device, description }: MountedSystem): boolean {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const shows = (line: string): boolean => line.includes(` ${device} `) && line.endsWith(` - ${description}`);
  return pids.some((pid) => mountTableOf(pid).split("\n").some(shows));
}
