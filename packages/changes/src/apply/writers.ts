/**
 * Finds the programs that have files open or mapped for writing which an apply or its undoing would take away: the program would go on writing
 * a file that is no longer there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { isRegular } from "@sluice/layer-tools";
import { native, openBeneath, StatWord } from "@sluice/native";
import { escapeTextName } from "@sluice/runtime/cli";
import { AT, Attr, O } from "@sluice/vfs";
import type { Difference } from "../difference.js";
import { inodeKeyOf } from "../identity.js";

const ACCESS_MODE = 0o3;
const UNKNOWN = "open for writing by an unknown program";

interface Suspect {
  path: string;
  attr: Attr;
  /** The kernel says so. Otherwise it does not tell: the file belongs to somebody else, or its file system has no leases. */
  isWritten: boolean;
}

/** How a program holds a file, by the path of that. */
export type Writers = ReadonlyMap<string, string>;

/** Undefined if it is no regular file, or nobody writes it. A pipe or a device is not opened. */
function suspectOf(path: string, found: number): Suspect | undefined {
  const attr = new Attr();
  if (native.statx(found, "", AT.EMPTY_PATH, attr.words) < 0 || !isRegular(attr)) return undefined;
  const fd = native.openat(AT.FDCWD, `/proc/self/fd/${found}`, O.RDONLY | O.NONBLOCK | O.CLOEXEC, 0);
  const written = fd < 0 ? fd : native.isWritten(fd);
  if (fd >= 0) native.close(fd);
  return written === 0 ? undefined : { path, attr, isWritten: written === 1 };
}

function suspectAt(base: number, path: string): Suspect | undefined {
  const found = openBeneath(base, path, O.PATH | O.NOFOLLOW, 0);
  if (found < 0) return undefined;
  try {
    return suspectOf(path, found);
  } finally {
    native.close(found);
  }
}

/** "" if the process has ended, or belongs to somebody else. */
function text(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}

function descriptorsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

/** The keys of the files that the process has open for writing. Only a descriptor with the number of such a file is looked at: another may not answer. */
function* openOf(pid: string, numbers: ReadonlySet<number>): Generator<string> {
  for (const fd of descriptorsOf(pid)) {
    const info = text(pid, `fdinfo/${fd}`);
    const flags = Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? "0", 8);
    if ((flags & ACCESS_MODE) === 0 || !numbers.has(Number(/^ino:\s*(\d+)$/m.exec(info)?.[1]))) continue;
    const attr = new Attr();
    if (native.statx(AT.FDCWD, `/proc/${pid}/fd/${fd}`, 0, attr.words) >= 0) yield inodeKeyOf(attr);
  }
}

const MAPPED = /^\S+ .w.s \S+ ([\da-f]+):([\da-f]+) (\d+)\s+(.*)$/gm;

const lastName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** The files that the process has mapped for writing. On btrfs the number of the device is another one: there the name has to be the same. */
function* mappedOf(pid: string, byNumber: ReadonlyMap<number, readonly Suspect[]>): Generator<Suspect> {
  for (const [, major, minor, ino, shown = ""] of text(pid, "maps").matchAll(MAPPED)) {
    for (const suspect of byNumber.get(Number(ino)) ?? []) {
      const { words } = suspect.attr;
      const isDevice = words[StatWord.devMajor] === Number(`0x${major}`) && words[StatWord.devMinor] === Number(`0x${minor}`);
      if (isDevice || lastName(shown) === lastName(suspect.path)) yield suspect;
    }
  }
}

function shownProgram(pid: string): string {
  const command = escapeTextName(Buffer.from(text(pid, "comm").trim(), "latin1").toString());
  return `${command === "" ? "a program" : command} (process ${pid})`;
}

function grouped<K>(suspects: readonly Suspect[], keyOf: (one: Suspect) => K): Map<K, Suspect[]> {
  const groups = new Map<K, Suspect[]>();
  for (const one of suspects) {
    const group = groups.get(keyOf(one));
    if (group === undefined) groups.set(keyOf(one), [one]);
    else group.push(one);
  }
  return groups;
}

/** @param paths in the directory. Only regular files among them are looked at */
export function findWriters(base: number, paths: readonly string[]): Writers {
  const suspects = paths.flatMap((path) => suspectAt(base, path) ?? []);
  const writers = new Map(suspects.filter(({ isWritten }) => isWritten).map(({ path }) => [path, UNKNOWN]));
  if (suspects.length === 0) return writers;
  const byKey = grouped(suspects, ({ attr }) => inodeKeyOf(attr));
  const byNumber = grouped(suspects, ({ attr }) => attr.ino);
  const numbers = new Set(byNumber.keys());
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const { path } of mappedOf(pid, byNumber)) writers.set(path, `mapped for writing by ${shownProgram(pid)}`);
    for (const key of openOf(pid, numbers))
      for (const { path } of byKey.get(key) ?? []) writers.set(path, `open for writing by ${shownProgram(pid)}`);
  }
  return writers;
}

/** Whether an apply puts another object in its place, or none. */
function losesFile({ before, after, aspects }: Difference): boolean {
  if (before?.type !== "regular") return false;
  return after === undefined || aspects.includes("content") || aspects.includes("type");
}

/** Marks the differences as conflicts of which an apply would take the file away from a program that writes it. */
export function noteWriters(base: number, list: readonly Difference[]): void {
  const writers = findWriters(
    base,
    list.filter(losesFile).map(({ path }) => path),
  );
  for (const one of list) {
    const writer = writers.get(one.path);
    if (writer === undefined) continue;
    one.conflict = writer;
    delete one.merge;
  }
}
