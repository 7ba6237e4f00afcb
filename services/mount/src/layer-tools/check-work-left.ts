/** What lies in a work directory that is not mounted: leftovers of an interrupted mount, and entries of the index without a file. */
import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { codeOf, unfit } from "../complaint.js";
import type { Problem } from "./check-upper.js";

const INCOMPAT = "incompat";
/** What nodeIds stood for, for file handles: every mount leaves it (packages/overlay/src/node/kept-handles.ts). */
const HANDLES = "handles";
/** struct ovl_fb in hexadecimal: version, magic, … */
const INDEX_NAME = /^00fb[0-9a-f]+$/;

function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw unfit(path, `it cannot be listed (${codeOf(error)})`, "run as root");
  }
}

function left(path: string, what: string, damage = false): Problem {
  return { path, in: "work", what, damage, mend: { do: "remove" } };
}

/** The kernel keeps one that it makes further links of, and leaves it there. */
function isSharedWhiteout(path: string): boolean {
  const stat = lstatSync(path);
  return stat.isCharacterDevice() && stat.rdev === 0;
}

export function checkWorkLeft(work: string): Problem[] {
  const problems: Problem[] = [];
  for (const { name } of entriesOf(work)) {
    if (name !== "work" && name !== "index") problems.push({ ...left(name, "nothing that an overlay puts there"), mend: undefined });
  }
  for (const { name } of entriesOf(join(work, "work"))) {
    if (name !== INCOMPAT && name !== HANDLES && !isSharedWhiteout(join(work, "work", name)))
      problems.push(left(`work/${name}`, "left by a mount that was interrupted"));
  }
  for (const { name } of entriesOf(join(work, "work", INCOMPAT))) {
    const what =
      name === "volatile"
        ? "an earlier mount was volatile and did not end in order: what the upper layer holds may be incomplete"
        : `it was used with a feature that Sluice does not know: ${name}`;
    problems.push({ ...left(`work/${INCOMPAT}/${name}`, what, true), mend: undefined });
  }
  for (const entry of entriesOf(join(work, "index"))) problems.push(...checkIndexEntry(work, entry));
  return problems;
}

function checkIndexEntry(work: string, entry: Dirent): Problem[] {
  const path = `index/${entry.name}`;
  if (!INDEX_NAME.test(entry.name)) return [left(path, "its name is no file handle: it was not finished")];
  // A whiteout stands for a file that is gone; a directory's entry belongs to nfs_export.
  if (!entry.isFile()) return [];
  return lstatSync(join(work, path)).nlink > 1 ? [] : [left(path, "an entry of the index whose file has no name any more")];
}
