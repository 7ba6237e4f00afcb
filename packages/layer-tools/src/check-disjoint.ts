/** Refuses layers that are one directory, or lie in one another: to empty or repair one would change the other. */
import { fstatSync } from "node:fs";
import { native } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import { O } from "@sluice/vfs";
import type { Tree } from "./tree.js";

export interface RoleOfTree {
  tree: Tree;
  /** Such as "lower layer". */
  role: string;
}

function keyOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

/** Of the directory, and of each one above it. */
function keysUpwards(fd: number): string[] {
  const keys: string[] = [];
  let at = native.openat(fd, ".", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  while (at >= 0) {
    const key = keyOf(at);
    // Above the root is the root.
    const above = key === keys.at(-1) ? -1 : native.openat(at, "..", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
    native.close(at);
    if (key !== keys.at(-1)) keys.push(key);
    at = above;
  }
  return keys;
}

function relationOf(one: readonly string[], other: readonly string[]): string | undefined {
  const [[key = ""], [otherKey = ""]] = [one, other];
  if (key === otherKey) return "is the same directory as";
  if (one.includes(otherKey)) return "lies inside";
  return other.includes(key) ? "contains" : undefined;
}

/** @throws CliError, exit code 4, if `one` overlaps one of the others */
export function checkDisjoint(one: RoleOfTree, others: readonly RoleOfTree[]): void {
  const own = keysUpwards(one.tree.fd);
  for (const { tree, role } of others) {
    const relation = relationOf(own, keysUpwards(tree.fd));
    if (relation === undefined) continue;
    const problem = `this ${one.role} ${relation} ${role} ${tree.path} (ELOOP)`;
    throw unfit(one.tree.path, problem, "name directories that do not overlap");
  }
}

/** @throws CliError, exit code 4, if something that is to be made at `path`, in this directory, would lie in one of the layers */
export function checkOutside(path: string, directoryFd: number, layers: readonly Tree[]): void {
  const above = keysUpwards(directoryFd);
  const layer = layers.find(({ fd }) => above.includes(keyOf(fd)));
  if (layer === undefined) return;
  throw unfit(path, `it would lie inside layer ${layer.path} (ELOOP)`, "name a directory outside of the layers");
}
