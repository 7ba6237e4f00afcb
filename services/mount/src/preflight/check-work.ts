/** Checks that the last mount left its work directory in a state that another mount can use. */
import { native, openBeneath, openRealDirectory, readNames, toBytes, toText } from "@sluice/native";
import { errnoName, O } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";
import { notDirectory, type Tree, treeOf } from "@sluice/layer-tools/tree";
import type { LocatedDirectory } from "./located-directory.js";

/** The entries that an overlay leaves in its work directory, the kernel's and ours. */
const WORK_ENTRIES = new Set(["work", "index"]);

/** The directory may belong to a user who puts links into it, so the check looks only beneath its root. @throws CliError */
export function checkWork(work: LocatedDirectory, upper: LocatedDirectory): void {
  const fd = work.opened === undefined ? openRealDirectory(toBytes(work.real), O.PATH) : native.dupfd(work.opened.fd);
  if (fd < 0)
    throw unfit(work.given, `the work directory cannot be opened (${errnoName(-fd)})`, "do not change its path meanwhile, and try again");
  try {
    const tree = treeOf(work.given, fd, false);
    checkWorkEmpty(tree);
    checkCompatible(tree, upper);
  } finally {
    native.close(fd);
  }
}

function checkWorkEmpty(work: Tree): void {
  const names = entriesOf(work, ".");
  const foreign = names.find((name) => !WORK_ENTRIES.has(name));
  if (foreign !== undefined) {
    throw unfit(
      work.path,
      `the work directory holds "${toText(foreign)}" that no overlay put there (ENOTEMPTY)`,
      "give an empty directory",
    );
  }
  for (const name of names) {
    const problem = notDirectory(work, "", name);
    if (problem !== undefined) throw unfit(`${work.path}/${name}`, `it is ${problem}, which no overlay puts there`, "remove it");
  }
}

function entriesOf(work: Tree, directory: string): string[] {
  const fd = openBeneath(work.fd, directory, O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) return [];
  const names = readNames(fd);
  native.close(fd);
  return typeof names === "number" ? [] : names;
}

/**
 * A volatile mount marks its work directory, and only people remove the mark: they must decide whether its data has reached the disk. Other
 * entries there are features of a later overlayfs.
 */
function checkCompatible(work: Tree, upper: LocatedDirectory): void {
  const features = entriesOf(work, "work/incompat");
  if (features.includes("volatile")) {
    throw unfit(
      work.path,
      "an earlier mount of it was volatile, so what the upper layer holds may be incomplete (EINVAL)",
      `empty ${upper.given} and ${work.path}; or, if the machine has not crashed since, run 'sync' and remove ${work.path}/work/incompat/volatile`,
    );
  }
  const [feature] = features;
  if (feature !== undefined) {
    throw unfit(
      work.path,
      `it was used with the feature "${toText(feature)}" that Sluice does not know (EINVAL)`,
      "mount it with the program that made it",
    );
  }
}
