/** Reads a tree. */
import { native } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { openQuietly } from "./open-quietly.js";
import { type Snapshot, snapshotTree } from "./snapshot-tree.js";

export interface Tree {
  kind: "merged" | "upper" | "lower";
  path: string;
}

/** In the calling process: only layers, and the kernel's mounts, are sure to answer. @throws if it cannot be read */
export function lookHere({ kind, path }: Tree): Snapshot {
  const fd = kind === "merged" ? native.openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0) : openQuietly(path);
  if (fd < 0) throw new Error(`${path} cannot be opened (${fd})`);
  const snapshot = snapshotTree(fd, { exact: kind === "lower", upper: kind === "upper" });
  native.close(fd);
  return snapshot;
}
