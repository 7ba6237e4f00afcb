/** Carries out what mends a problem, beneath the layer's root. 0, or the negative errno. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { native, openBeneath } from "@sluice/native";
import { Errno, O, S } from "@sluice/vfs";
import type { Tree } from "../diff/tree.js";
import type { Mend, Problem } from "./check-upper.js";

/** Runs `use` on a descriptor of the directory and the name in it. */
function inDirectory(tree: Tree, path: string, use: (directory: number, name: string) => number): number {
  const slash = path.lastIndexOf("/");
  const directory = openBeneath(tree.fd, slash < 0 ? "." : path.slice(0, slash), O.PATH | O.DIRECTORY, 0);
  if (directory < 0) return directory;
  const status = use(directory, path === "" ? "." : path.slice(slash + 1));
  native.close(directory);
  return status;
}

function mendUpper(tree: Tree, path: string, mend: Mend): number {
  switch (mend.do) {
    case "remove-mark":
      return inDirectory(tree, path, (directory, name) => native.removexattrat(directory, name, tree.prefix + mend.mark));
    case "set-mark":
      return inDirectory(tree, path, (directory, name) =>
        native.setxattrat(directory, name, tree.prefix + mend.mark, Buffer.from(mend.value), 0),
      );
    case "remove":
      return inDirectory(tree, path, (directory, name) => native.unlinkat(directory, name, 0));
    case "whiteout":
      return inDirectory(tree, mend.at, (directory, name) => {
        const made = native.mknodat(directory, name, S.IFCHR, 0, 0);
        // Of two that came from one place the first one's is there.
        return made === -Errno.EEXIST ? 0 : made;
      });
  }
}

export function mend(problem: Problem, upper: Tree, work: string | undefined): number {
  if (problem.mend === undefined) return -Errno.EOPNOTSUPP;
  if (problem.in === "upper") return mendUpper(upper, problem.path, problem.mend);
  try {
    rmSync(join(work as string, problem.path), { recursive: true });
    return 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -Errno.EIO;
  }
}

/** As it is said to people. */
export function mendText(mend: Mend): string {
  switch (mend.do) {
    case "remove-mark":
      return `remove its ${mend.mark} mark`;
    case "set-mark":
      return `mark it ${mend.mark}`;
    case "remove":
      return "remove it";
    case "whiteout":
      return `hide ${Buffer.from(mend.at, "latin1").toString("utf8")} by a whiteout`;
  }
}
