/** Empties an upper layer, and its work directory with it. The directories themselves stay. */
import { emptyDirectory, native } from "@sluice/native";
import { escapeName, failed } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import { shownIn, type Tree } from "./tree.js";

const list = Buffer.alloc(65_536);

/** @throws CliError at the first object that cannot be removed */
function empty(tree: Tree): void {
  const { status, path } = emptyDirectory(tree.fd);
  if (status >= 0) return;
  throw failed(shownIn(tree, path), `it cannot be removed (${errnoName(-status)})`, "find the reason with lsattr, then reset again");
}

/** Removes the marks of the root: its origin, and whether it hides the layers below. @throws CliError */
function unmark({ path, fd, prefix }: Tree): void {
  const length = native.listxattrat(fd, "", list);
  for (const name of list.toString("latin1", 0, Math.max(0, length)).split("\0")) {
    const status = name.startsWith(prefix) ? native.removexattrat(fd, "", name) : 0;
    if (status < 0) throw failed(path, `its mark ${escapeName(name)} cannot be removed (${errnoName(-status)})`, "run as root");
  }
}

/** @throws CliError */
export function resetLayer(upper: Tree, work: Tree | undefined): void {
  empty(upper);
  unmark(upper);
  if (work !== undefined) empty(work);
}
