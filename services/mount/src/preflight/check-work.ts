/** Is the upper layer free, and did the last mount leave its work directory so that it may be used again? */
import { native, openBeneath, openRealDirectory, readNames, toBytes, toText } from "@sluice/native";
import { errnoName, O } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";
import { notDirectory, type Tree, treeOf } from "@sluice/layer-tools/tree";
import type { LocatedDirectory } from "./located-directory.js";

/** What an overlay leaves in its work directory, the kernel's and ours. */
const WORK_ENTRIES = new Set(["work", "index"]);

/** The directory may be a user's, who may put links into it: it is looked at beneath its root alone. @throws CliError */
export function checkWork(work: LocatedDirectory, upper: LocatedDirectory): void {
  const fd = openRealDirectory(toBytes(work.real), O.PATH);
  if (fd < 0) throw unfit(work.given, `the work directory cannot be opened (${errnoName(-fd)})`, "leave its path as it is, and try again");
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
 * A volatile mount marks its work directory, and nothing takes the mark away: whether what it wrote has reached the disk is
 * for people to say. Whatever else lies there is a feature that a later overlayfs may have introduced.
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
      "mount it with what made it",
    );
  }
}
