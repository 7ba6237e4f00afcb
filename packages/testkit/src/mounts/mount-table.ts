// The mount table of this process. Reads text only: it never touches a mount, so it cannot hang on one.
import { readFileSync } from "node:fs";

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
