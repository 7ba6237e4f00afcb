/** Writes several records as one: those of the layers of a forked session, when it has one layer again. */
import { native } from "@sluice/native";
import { Errno, O } from "@sluice/vfs";
import { readEntries } from "./base-records.js";
import { CONTENTS, ENTRIES } from "./entry.js";

const PIECE_BYTES = 1 << 20;

function writeAll(fd: number, bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; ) {
    const written = native.write(fd, bytes, at, bytes.length - at);
    if (written <= 0) return written < 0 ? written : -Errno.ENOSPC;
    at += written;
  }
  return 0;
}

/** @returns the number of bytes, or a negative errno */
function append(target: number, directory: number): number {
  const source = native.openat(directory, CONTENTS, O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0);
  if (source === -Errno.ENOENT) return 0;
  if (source < 0) return source;
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  try {
    for (let at = 0; ; ) {
      const read = native.pread(source, piece, { offset: 0, length: PIECE_BYTES, position: at }, 0);
      if (read <= 0) return read < 0 ? read : at;
      const status = writeAll(target, piece.subarray(0, read));
      if (status < 0) return status;
      at += read;
    }
  } finally {
    native.close(source);
  }
}

/** @param directories descriptors, the oldest record first. @param into that of an empty directory. 0 or a negative errno */
export function joinRecords(directories: readonly number[], into: number): number {
  const create = (name: string): number => native.openat(into, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW | O.CLOEXEC, 0o600);
  const [entries, contents] = [create(ENTRIES), create(CONTENTS)];
  try {
    let status = Math.min(entries, contents, 0);
    for (let at = 0, index = 0; status >= 0 && index < directories.length; index++) {
      const directory = directories[index] as number;
      const length = append(contents, directory);
      status = length < 0 ? length : addEntries(entries, directory, { into, at });
      at += length;
    }
    return status;
  } finally {
    for (const fd of [entries, contents]) if (fd >= 0) native.close(fd);
  }
}

function addEntries(entries: number, directory: number, { into, at }: { into: number; at: number }): number {
  const lines: string[] = [];
  for (const one of readEntries(directory)) {
    if ("shared" in one) {
      lines.push(`\n${JSON.stringify(one)}`);
      continue;
    }
    const { content, clone, ...entry } = one;
    const cloned = clone !== undefined && native.linkat(directory, clone, into, clone, 0) >= 0 ? { clone } : {};
    const moved = content === undefined ? {} : { content: { ...content, at: content.at + at } };
    lines.push(`\n${JSON.stringify({ ...entry, ...moved, ...cloned })}`);
  }
  return writeAll(entries, Buffer.from(lines.join("")));
}
