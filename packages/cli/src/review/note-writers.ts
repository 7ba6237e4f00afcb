/**
 * Finds the programs that have files of the directory open for writing. An apply moves such a file away, and the program would go on writing
 * that one, which only an undo brings back. So it is a conflict.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Difference, inodeKeyOf, type Side } from "@sluice/changes";
import { native } from "@sluice/native";
import { escapeTextName } from "@sluice/runtime/cli";
import { AT, Attr } from "@sluice/vfs";

const ACCESS_MODE = 0o3;

/** Whether an apply puts another object in its place, or none. */
function losesFile({ before, after, aspects }: Difference): boolean {
  if (before?.type !== "regular") return false;
  return after === undefined || aspects.includes("content") || aspects.includes("type");
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

function descriptorsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    // It has ended, or belongs to somebody else.
    return [];
  }
}

interface Wanted {
  names: ReadonlySet<string>;
  /** By inode. */
  files: ReadonlyMap<string, readonly Difference[]>;
}

/** The differences whose file the descriptor writes. A name of another file system, which may not answer, is rarely the same. */
function writtenBy(pid: string, fd: string, { names, files }: Wanted): readonly Difference[] {
  const link = `/proc/${pid}/fd/${fd}`;
  try {
    if (!names.has(nameOf(readlinkSync(link, "latin1")))) return [];
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1"))?.[1] ?? "0";
    if ((Number.parseInt(flags, 8) & ACCESS_MODE) === 0) return [];
    const attr = new Attr();
    return native.statx(AT.FDCWD, link, 0, attr.words) < 0 ? [] : (files.get(inodeKeyOf(attr)) ?? []);
  } catch {
    return [];
  }
}

function commandOf(pid: string): string {
  try {
    return escapeTextName(readFileSync(`/proc/${pid}/comm`, "utf8").trim());
  } catch {
    return "a program";
  }
}

/** Marks the differences as conflicts of which an apply would take the file away from a program that writes it. */
export function noteWriters(list: readonly Difference[]): void {
  const files = new Map<string, Difference[]>();
  for (const one of list.filter(losesFile)) {
    const key = inodeKeyOf((one.before as Side).object.attr);
    files.set(key, [...(files.get(key) ?? []), one]);
  }
  if (files.size === 0) return;
  const names = new Set([...files.values()].flat().map(({ path }) => nameOf(path)));
  const wanted = { names, files };
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const fd of descriptorsOf(pid)) {
      for (const one of writtenBy(pid, fd, wanted)) {
        one.conflict = `open for writing by ${commandOf(pid)} (process ${pid})`;
        delete one.merge;
      }
    }
  }
}
