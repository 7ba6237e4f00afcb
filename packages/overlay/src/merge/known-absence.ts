/**
 * Lower layers do not change while they are mounted (unless `sharedLower` says so), and most look-ups of a name find it in one layer or in
 * none. So a directory of a lower layer in which names are missed often is read once, into a filter of its names. Look-ups then leave
 * out the system call for a name that the filter does not know.
 *
 * A directory that finds names in several spellings gets no filter (case folding, normalization). Nor does a file system whose listings are
 * incomplete, as those of the network and of FUSE may be.
 */
import { Attr, type ByteName, Errno } from "@sluice/vfs";
import { DirentCursor } from "../layer/dirents.js";
import { NEVER, type RealDir } from "../layer/host-layer.js";
import { isAscii, NameFilter } from "../layer/name-filter.js";
import { closeFd, openDirectory, statName, sys } from "../layer/system-calls.js";

/** Reading so many names costs about as much as a miss. So a directory is read that has no more of them for its misses. */
const NAMES_A_MISS = 16;
/** After so many times the misses of the last attempt, a longer directory is tried again. */
const NEXT_ATTEMPT = 4;

/** The rules of a mount for absent names. */
interface Assumptions {
  readonly config: { readonly sharedLower: boolean };
  readonly marks: { readonly foreign: boolean };
}

const bytes = Buffer.alloc(32_768);
const records = new DirentCursor(bytes);
const attr = new Attr();

/** A system call did not find a name in the directory, whose descriptor is `dirFd`. */
export function missed(core: Assumptions, dir: RealDir, dirFd: number): void {
  if (dir.filter !== undefined || ++dir.misses < dir.missesToRead) return;
  const mostNames = Math.min(dir.misses * NAMES_A_MISS, NameFilter.mostNames);
  dir.missesToRead = mostNames === NameFilter.mostNames ? NEVER : dir.misses * NEXT_ATTEMPT;
  if (core.config.sharedLower || core.marks.foreign || dir.layer.isOurs || !dir.layer.listsAllNames) {
    dir.missesToRead = NEVER;
    return;
  }
  const names = readNames(dirFd, mostNames);
  if (names === undefined) return;
  const filter = new NameFilter(names);
  if (hasOneSpelling(dirFd, names, filter)) dir.filter = filter;
  else dir.missesToRead = NEVER;
}

/** Undefined if there are more, or they cannot be read. */
function readNames(dirFd: number, mostNames: number): ByteName[] | undefined {
  const fd = openDirectory(dirFd);
  if (fd < 0) return undefined;
  const names: ByteName[] = [];
  let length = sys.getdents64(fd, bytes);
  for (; length > 0 && names.length <= mostNames; length = sys.getdents64(fd, bytes)) {
    records.begin(length);
    while (records.next()) names.push(records.name);
  }
  closeFd(fd);
  return length === 0 && names.length <= mostNames ? names : undefined;
}

/**
 * Does the directory find each name by one spelling alone? Every case folding concerns ASCII letters, so one name in other letters tells.
 * Other characters may have several forms even where their names seem to differ.
 */
function hasOneSpelling(dirFd: number, names: readonly ByteName[], filter: NameFilter): boolean {
  if (!names.every(isAscii)) return false;
  let letters = false;
  for (const name of names) {
    const other = inOtherCase(name);
    if (other === name) continue;
    letters = true;
    if (filter.lacks(other)) return statName(dirFd, other, attr) === -Errno.ENOENT;
  }
  return !letters;
}

/** The letters of an ASCII name, all in upper case, or else in lower case. */
function inOtherCase(name: ByteName): ByteName {
  const upper = name.toUpperCase();
  return upper === name ? name.toLowerCase() : upper;
}
