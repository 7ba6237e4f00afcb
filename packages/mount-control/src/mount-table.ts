/** Parses /proc/self/mountinfo: the mounts, and the location of a path in its own file system. */
import { readFileSync } from "node:fs";

export interface MountRow {
  mountId: number;
  /** "major:minor" of the file system. */
  device: string;
  /** The directory of that file system which is mounted. */
  root: string;
  mountpoint: string;
  options: string;
  type: string;
  source: string;
  superOptions: string;
}

/** Neither an escape nor a byte of a longer character. */
const PLAIN = /^[^\\\x80-\xff]*$/;

/** A field without the kernel's escapes, as text. */
export function decodeField(field: string): string {
  // Nearly all are: a server of many mounts reads a long table for each that it takes over.
  if (PLAIN.test(field)) return field;
  return Buffer.from(
    field.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    "latin1",
  ).toString("utf8");
}

function parseRow(line: string): MountRow | undefined {
  const fields = line.split(" ");
  const dash = fields.indexOf("-", 6);
  if (dash < 0) return undefined;
  const at = (index: number): string => fields[index] ?? "";
  return {
    mountId: Number(at(0)),
    device: at(2),
    root: decodeField(at(3)),
    mountpoint: decodeField(at(4)),
    options: at(5),
    type: at(dash + 1),
    source: decodeField(at(dash + 2)),
    superOptions: at(dash + 3),
  };
}

export const MOUNT_TABLE = "/proc/self/mountinfo";

let readTable = (): string => readFileSync(MOUNT_TABLE, "latin1");

/** `read` returns the text of the table as it is at each call. */
export function readTableBy(read: () => string): void {
  readTable = read;
}

/** Read as latin1: names are bytes. */
export function mountTableText(): string {
  return readTable();
}

let last: { text: string; rows: readonly MountRow[] } = { text: "", rows: [] };

/** In the order of mounting: of two mounts at one mount point the later one covers the earlier. */
export function readMountTable(text = mountTableText()): readonly MountRow[] {
  if (last.text === text) return last.rows;
  const rows = text
    .split("\n")
    .map(parseRow)
    .filter((row) => row !== undefined);
  last = { text, rows };
  return rows;
}

export function isBeneath(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** The mount that an absolute path without symbolic links lies on. */
export function mountOf(path: string, table: readonly MountRow[]): MountRow | undefined {
  let found: MountRow | undefined;
  for (const row of table) {
    if (isBeneath(path, row.mountpoint) && row.mountpoint.length >= (found?.mountpoint.length ?? 0)) found = row;
  }
  return found;
}

/** The newest mount at exactly this path. */
export function mountAt(path: string, table: readonly MountRow[]): MountRow | undefined {
  return table.findLast((row) => row.mountpoint === path);
}
