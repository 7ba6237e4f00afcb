/**
 * Writes the content of trees as JSON. A process of its own, since a failing file system may never answer. Arguments: output,
 * then KIND=PATH….
 */
import { writeFileSync } from "node:fs";
import { native } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { openQuietly } from "../../conformance/tree/open-quietly.js";
import { type Snapshot, snapshotTree } from "../../conformance/tree/snapshot-tree.js";

function look(kind: string, path: string): Snapshot {
  const fd = kind === "merged" ? native.openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0) : openQuietly(path);
  if (fd < 0) throw new Error(`${path} cannot be opened (${fd})`);
  const snapshot = snapshotTree(fd, { exact: kind === "lower", upper: kind === "upper" });
  native.close(fd);
  return snapshot;
}

const [output = "", ...trees] = process.argv.slice(2);
const snapshots = trees.map((tree) => {
  const at = tree.indexOf("=");
  return look(tree.slice(0, at), tree.slice(at + 1));
});
writeFileSync(output, JSON.stringify(snapshots));
