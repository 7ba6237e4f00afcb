/**
 * The form of the record: a directory with two files that only grow, and one file for each large content.
 *
 * `entries` has a line for each object, as JSON. Each line begins with a newline, so that one that a killed writer cut short ends where the
 * next one begins. A later line of a path replaces an earlier one. `contents` has the bytes of files, one after the other.
 */
import type { Attr, ByteName } from "@sluice/vfs";

export const ENTRIES = "entries";
export const CONTENTS = "contents";
/** A larger file is kept as a reflink, or not at all. */
export const MAX_COPIED_BYTES = 1 << 20;

export interface BaseEntry {
  /** Below the root of the lower layer: a byte string. */
  path: ByteName;
  /** See `identityIn`. */
  identity: string;
  ino: number;
  size: number;
  mode: number;
  /** As the mount saw it, which may have a user namespace of its own. */
  owner: string;
  links: number;
  modified: string;
  /** Of a symbolic link. */
  target?: string;
  /** The place of the bytes in `contents`, and their SHA-256 in base64. */
  content?: { at: number; digest: string };
  /** The name of a file of its own with the bytes. */
  clone?: string;
}

/** A name of a file with several names, which was changed by another one. It says nothing of the object there. */
export interface SharedName {
  path: ByteName;
  shared: true;
}

/** A change of the object of any kind gives another one. The number of a device is not in it: it may be another one after a start of the machine. */
export function identityIn({ ino, size, ctimeSec, ctimeNsec }: Attr): string {
  return `${ino} ${size} ${ctimeSec}.${ctimeNsec}`;
}

/** Earlier versions wrote the number of the device in front. */
const FORMER_DEVICE = /^\d+:\d+ /;

export const readIdentity = (written: string): string => written.replace(FORMER_DEVICE, "");

export function entryOf(path: ByteName, attr: Attr): BaseEntry {
  const { ino, size, mode, uid, gid, nlink, mtimeSec, mtimeNsec } = attr;
  return {
    path,
    identity: identityIn(attr),
    ...{ ino, size, mode, owner: `${uid}:${gid}`, links: nlink, modified: `${mtimeSec}.${mtimeNsec}` },
  };
}

export function digestOf(bytes: Uint8Array): string {
  // Loaded by the first call: a command that makes no digest starts faster.
  return process.getBuiltinModule("node:crypto").createHash("sha256").update(bytes).digest("base64");
}
