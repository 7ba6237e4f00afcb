/** Checks a work directory that is not mounted, for leftovers of an interrupted mount, and entries of the index without a file. */
import { escapeName } from "@sluice/runtime/cli";
import { S } from "@sluice/vfs";
import { type Found, find, join, namesIn, notDirectory, type Tree } from "./tree.js";
import type { Problem } from "./check-upper.js";

const INCOMPAT = "incompat";
/** The nodeIds behind file handles: every mount leaves this file (packages/overlay/src/restore/persisted-handles.ts). */
const HANDLES = "handles";
/** struct ovl_fb in hexadecimal: version, magic, … */
const INDEX_NAME = /^00fb[0-9a-f]+$/;

function left(path: string, what: string, damage = false): Problem {
  return { path, in: "work", what, damage, mend: { do: "remove" } };
}

function forPeople(path: string, what: string, damage = false): Problem {
  return { ...left(path, what, damage), mend: undefined };
}

/** The kernel leaves one whiteout there, which it links for further ones. */
function isSharedWhiteout({ attr }: Found): boolean {
  return (attr.mode & S.IFMT) === S.IFCHR && attr.rdev === 0;
}

class WorkCheck {
  readonly problems: Problem[] = [];

  constructor(readonly work: Tree) {}

  run(): void {
    for (const name of namesIn(this.work, "")) {
      if (name !== "work" && name !== "index") this.problems.push(forPeople(name, "no overlay puts that there"));
    }
    this.#each("", "work", (found, name) => {
      if (name !== INCOMPAT && name !== HANDLES && !isSharedWhiteout(found))
        this.problems.push(left(`work/${name}`, "left by a mount that was interrupted"));
    });
    this.#each("work", INCOMPAT, (_found, name) => {
      const what =
        name === "volatile"
          ? "an earlier mount was volatile and did not end in order: the upper layer may be incomplete"
          : `it was used with a feature that Sluice does not know: ${escapeName(name)}`;
      this.problems.push(forPeople(`work/${INCOMPAT}/${name}`, what, true));
    });
    this.#each("", "index", (found, name) => this.#indexEntry(found, name));
  }

  /** Visits the entries of one of an overlay's own directories. The work directory may belong to a user who puts a link in its place. */
  #each(directory: string, name: string, visit: (found: Found, name: string) => void): void {
    const path = join(directory, name);
    const problem = notDirectory(this.work, directory, name);
    if (problem !== undefined)
      this.problems.push(forPeople(path, `it is ${problem}, which no overlay puts there: it is not followed`, true));
    else if (find(this.work, directory, name) !== undefined)
      for (const entry of namesIn(this.work, path)) {
        const found = find(this.work, path, entry);
        if (found !== undefined) visit(found, entry);
      }
  }

  #indexEntry({ attr }: Found, name: string): void {
    const path = `index/${name}`;
    if (!INDEX_NAME.test(name)) this.problems.push(left(path, "its name is no file handle: it was not finished"));
    // A whiteout marks a deleted file; an entry of a directory belongs to nfs_export.
    else if ((attr.mode & S.IFMT) === S.IFREG && attr.nlink === 1)
      this.problems.push(left(path, "an entry of the index whose file has no name any more"));
  }
}

export function checkWorkLeft(work: Tree): Problem[] {
  const check = new WorkCheck(work);
  check.run();
  return check.problems;
}
