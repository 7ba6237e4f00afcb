/**
 * Removes everything below a directory, beneath its root and across no mount: owners of directories in a layer may rename
 * them and put links in their place meanwhile, and lead nobody elsewhere by it.
 */
import { native, openBeneath } from "@sluice/native";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import { failed } from "../complaint.js";
import { join, namesIn, type Tree } from "../diff/tree.js";
import { toText } from "../path-bytes.js";

function unlink(tree: Tree, directory: string, name: string, flags: number): number {
  const fd = openBeneath(tree.fd, directory === "" ? "." : directory, O.PATH | O.DIRECTORY, 0);
  if (fd < 0) return fd;
  const status = native.unlinkat(fd, name, flags);
  native.close(fd);
  return status;
}

/** @throws CliError, exit code 1, at the first thing that stays */
export function emptyTree(tree: Tree, directory = ""): void {
  for (const name of namesIn(tree, directory)) {
    const path = join(directory, name);
    let status = unlink(tree, directory, name, 0);
    if (status === -Errno.EISDIR) {
      emptyTree(tree, path);
      status = unlink(tree, directory, name, AT.REMOVEDIR);
    }
    if (status < 0 && status !== -Errno.ENOENT) {
      const problem = `it cannot be removed (${errnoName(-status)})`;
      throw failed(`${tree.path}/${toText(path)}`, problem, "see what keeps it (lsattr), then reset again");
    }
  }
}
