/** Prints what a tree holds as a line of JSON: a process of its own, since a failing file system may never answer. */
import { MOUNT_ATTR, native, OPEN_TREE } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { writeFileSync } from "node:fs";
import { snapshotTree } from "../tree/snapshot-tree.js";

/** Looks at a layer without moving an access time. */
function openQuietly(path: string): number {
  const clone = native.openTree(AT.FDCWD, path, OPEN_TREE.CLONE | O.CLOEXEC);
  native.mountSetattr(clone, "", AT.EMPTY_PATH, MOUNT_ATTR.NOATIME, MOUNT_ATTR.ATIME_MASK);
  const fd = native.openat(clone, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  native.close(clone);
  return fd;
}

const [kind, path = "", output = ""] = process.argv.slice(2);
const fd = kind === "merged" ? native.openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0) : openQuietly(path);
if (fd < 0) throw new Error(`${path} cannot be opened (${fd})`);
writeFileSync(output, JSON.stringify(snapshotTree(fd, { exact: kind === "lower", upper: kind === "upper" })));
