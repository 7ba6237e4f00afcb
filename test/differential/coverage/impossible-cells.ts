/** Cells of the coverage table that no run can fill, each with the reason. */
import type { State } from "../run/object-state.js";

export interface Impossible {
  rows: readonly string[];
  states: readonly State[];
  reason: string;
}

const DATA = [
  "fread",
  "write",
  "append",
  "pread",
  "pwrite",
  "ftruncate",
  "fallocate",
  "seek",
  "copyrange",
  "mapread",
  "mapwrite",
  "mapprivate",
];
const BY_DESCRIPTOR = [
  ...DATA,
  "relist",
  "fsync",
  "fdatasync",
  "syncfs",
  "fstat",
  "fchmod",
  "fchown",
  "futimes",
  "fsetxattr",
  "fgetxattr",
  "flock",
  "close",
  "linkfd",
];
export const DIRECTORY_STATES: readonly State[] = ["merged", "opaque", "redirected"];

const IMPOSSIBLE: readonly Impossible[] = [
  {
    rows: BY_DESCRIPTOR,
    states: ["whiteout"],
    reason: "a descriptor belongs to an object; an object without a name is unlinked-open",
  },
  {
    rows: DATA.filter((row) => row !== "seek"),
    states: DIRECTORY_STATES,
    reason: "the kernel refuses data calls on a directory before it asks the file system",
  },
  { rows: ["relist"], states: ["hard-linked"], reason: "directories have one name" },
  {
    rows: ["umask"],
    states: ["lower", "upper", "merged", "whiteout", "opaque", "redirected", "hard-linked", "unlinked-open"],
    reason: "belongs to a process, not to an object",
  },
];

const BY_NAME_ONLY: State = "unlinked-open";
const DESCRIPTORS: ReadonlySet<string> = new Set(BY_DESCRIPTOR);

/** Returns the reason, or undefined if the cell must be filled. */
export function impossibleBecause(row: string, state: State): string | undefined {
  if (state === BY_NAME_ONLY && !DESCRIPTORS.has(row)) return "a removed name refers to nothing";
  return IMPOSSIBLE.find(({ rows, states }) => rows.includes(row) && states.includes(state))?.reason;
}

/** Returns all of them, for the documentation. */
export function impossibleReasons(): readonly Impossible[] {
  return [...IMPOSSIBLE, { rows: ["calls that take a name"], states: [BY_NAME_ONLY], reason: "a removed name refers to nothing" }];
}
