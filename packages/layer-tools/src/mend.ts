/** Mends a problem, beneath the root of its layer or work directory. */
import { inDirectory, native, removeTree } from "@sluice/native";
import { escapeName } from "@sluice/runtime/cli";
import { Errno, S } from "@sluice/vfs";
import type { Tree } from "./tree.js";
import type { Mend, Problem } from "./check-upper.js";

function mendUpper(tree: Tree, path: string, mend: Mend): number {
  switch (mend.do) {
    case "remove-mark":
      return inDirectory(tree.fd, path, (directory, name) => native.removexattrat(directory, name, tree.prefix + mend.mark));
    case "set-mark":
      return inDirectory(tree.fd, path, (directory, name) =>
        native.setxattrat(directory, name, tree.prefix + mend.mark, Buffer.from(mend.value), 0),
      );
    case "remove":
      return inDirectory(tree.fd, path, (directory, name) => native.unlinkat(directory, name, 0));
    case "whiteout":
      return inDirectory(tree.fd, mend.at, (directory, name) => {
        const made = native.mknodat(directory, name, S.IFCHR, 0, 0);
        // Of two directories with one origin, the first one has made it already.
        return made === -Errno.EEXIST ? 0 : made;
      });
  }
}

/** @returns 0, or the negative errno */
export function mend(problem: Problem, upper: Tree, work: Tree | undefined): number {
  if (problem.mend === undefined) return -Errno.EOPNOTSUPP;
  if (problem.in === "upper") return mendUpper(upper, problem.path, problem.mend);
  return removeTree((work as Tree).fd, problem.path).status;
}

/** The change in words. */
export function mendText(mend: Mend): string {
  switch (mend.do) {
    case "remove-mark":
      return `remove its ${mend.mark} mark`;
    case "set-mark":
      return `mark it ${mend.mark}`;
    case "remove":
      return "remove it";
    case "whiteout":
      return `hide ${escapeName(mend.at)} by a whiteout`;
  }
}
