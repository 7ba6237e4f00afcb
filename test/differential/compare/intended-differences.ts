/**
 * Intended differences from the kernel's overlayfs that random runs meet, each with its reason. A difference without an
 * entry is a failure. docs/differences.md is generated from this table and from the conformance suite's.
 */
import { isError } from "../script/is-error.js";
import type { Operation } from "../script/operation.js";
import type { Mode } from "../script/script.js";
import {
  isDirectoryLine,
  isObjectLine,
  isWithoutData,
  levelLinks,
  levelMarks,
  levelPrivilege,
  levelSetgid,
  levelTime,
  type Lines,
  linksOf,
  turned,
} from "./lines.js";
import type { Snapshot } from "../../conformance/tree/snapshot-tree.js";
import { SEEK } from "@sluice/vfs";
import type { Step } from "../run/round.js";
import type { Facts } from "../run/side-process.js";

/** One value that differs between the two. */
export interface Found {
  mode: Mode;
  /** A call, or a path of a tree. */
  place:
    | {
        kind: "step";
        operation: Operation;
        facts: Facts;
        /** The index of the value among the values of the call. */
        part: number;
        /** Its first name is one of a failed call, or a directory above one. */
        refused: boolean;
        /** The layers change hands, at this step or later. */
        swapped: boolean;
      }
    | {
        kind: "merged" | "upper";
        path: string;
        /** Names in failed calls. */
        refused: ReadonlySet<string>;
        /** The other implementation served the layer before: the objects it left are still there. */
        swapped: boolean;
        /** The whole tree on Sluice, and on the kernel's overlayfs. */
        ours: Snapshot;
        theirs: Snapshot;
      };
  kernel: unknown;
  sluice: unknown;
  history: History;
}

/** The calls before, anywhere in the sequence. */
export interface History {
  /** A call removed an access ACL, or tried to. */
  aclRemoved: boolean;
  /** The layers hold an object at a name so long that the kernel writes no redirect to it. */
  far: boolean;
  /** With metacopy=on, a call opened something for writing. */
  completed: boolean;
  /** With metacopy=on, a call gave an open file another name. */
  linked: boolean;
}

type Level = (lines: Lines) => Lines;

export interface IntendedDifference {
  name: string;
  modes: readonly Mode[];
  reason: string;
  explains?(found: Found): boolean;
  /**
   * Returns both lines without the parts that differ for this reason, so that several reasons can explain one line; undefined
   * if the reason does not apply. Works in both halves.
   */
  levels?(found: Found): Level | undefined;
  /** From this step on the kernel's tree is wrong: later steps of the same sequence cannot be compared. */
  spoils?(step: Step): boolean;
  /** Later steps of the same sequence cannot be compared. */
  ends?: true;
}

/** Open flags that cause a copy-up. */
const CHANGES: ReadonlySet<string> = new Set(["fchmod", "fchown", "futimes", "fsetxattr"]);

const EVERY: readonly Mode[] = ["unruled", "granted", "mediated", "mixed", "named", "portable"];
/** These reads and writes may pass the daemon by. */
const PASSED: readonly Mode[] = ["unruled", "granted", "mixed", "named"];

const READS = ["pread", "fread", "mapread", "mapprivate", "seek", "copyrange", "fstat"];
const ATTRIBUTES = ["fchmod", "fchown", "futimes", "fsetxattr", "fgetxattr", "fstat", "linkfd", "fsync", "fdatasync", "flock"];

function callOf({ place }: Found): string {
  return place.kind === "step" ? place.operation.call : "";
}

function factsOf({ place }: Found): Facts {
  return place.kind === "step" ? place.facts : { state: "absent" };
}

/** The kernel did this before it refused: a mark, a touched directory. */
function levelRefusal(lines: Lines): Lines {
  const unmarked = levelMarks(lines);
  return isDirectoryLine(lines[0]) ? levelTime(unmarked) : unmarked;
}

function levelFileTime(lines: Lines): Lines {
  return lines[0].startsWith("file ") ? levelTime(lines) : lines;
}

/** One direction always, the other one also if the layers changed hands. */
function eitherWay(swapped: boolean, level: Level): Level {
  return swapped ? (lines) => turned(level)(level(lines)) : level;
}

function isOneOfSeveral(there: unknown, other: unknown): boolean {
  return other === undefined && typeof there === "string" && !there.startsWith("directory") && linksOf(there) > 1;
}

/** A directory that was created only for a copied-up entry. */
function leadsToLinks(directory: string, tree: Snapshot): boolean {
  return Object.entries(tree).some(([path, line]) => path.startsWith(`${directory}/`) && isOneOfSeveral(line, undefined));
}

/** A file's position, or one beyond the largest possible. */
const isPlace = (result: unknown): boolean => typeof result === "number" || result === "EINVAL" || result === "EOVERFLOW";

const isAcl = ({ args }: Operation): boolean => String(args["name"]).startsWith("system.posix_acl_");

export const intendedDifferences: readonly IntendedDifference[] = [
  {
    name: "every write clears setuid",
    modes: PASSED,
    reason:
      "The kernel writes to a backing file with the credentials that registered it. Writes of strangers clear setuid and setgid only if these lack CAP_FSETID. So every write does, including root's and the owner's.",
    levels: ({ place }) => eitherWay(place.swapped, levelPrivilege),
  },
  {
    name: "a file that lost its setuid may be linked",
    modes: PASSED,
    reason:
      "Strangers may not link a setuid file (fs.protected_hardlinks). A written file has neither setuid nor setgid here, see above, so they may.",
    explains: (found) =>
      ["link", "linkfd"].includes(callOf(found)) &&
      ((found.kernel === "EPERM" && found.sluice === "ok") || (found.place.swapped && found.kernel === "ok" && found.sluice === "EPERM")),
    ends: true,
  },
  {
    name: "an open for writing keeps the time of a metadata-only file",
    modes: EVERY,
    reason:
      "With metacopy=on, an open for writing gives a metadata-only file its data. The kernel moves the time of change then, as if the caller had written. Sluice keeps it until somebody writes.",
    levels: ({ history, place }) => (history.completed ? eitherWay(place.swapped, levelFileTime) : undefined),
  },
  {
    name: "an open file that gets a name again gets its data, too",
    modes: EVERY,
    reason:
      "With metacopy=on, the kernel gives a metadata-only copy of a removed lower file a redirect to its former name. Sluice copies the data.",
    explains: ({ place, history, kernel, sluice }) =>
      place.kind === "upper" && history.linked && (isWithoutData(kernel, sluice) || (place.swapped && isWithoutData(sluice, kernel))),
  },
  {
    name: "removing an ACL leaves setgid",
    modes: EVERY,
    reason:
      "The kernel's overlayfs clears setgid of an object outside the caller's groups if an ACL is set or removed (fs/overlayfs/inode.c). The file systems below do so only if one is set, and so does Sluice.",
    levels: ({ history, place }) => (history.aclRemoved ? eitherWay(place.swapped, levelSetgid) : undefined),
  },
  {
    name: "an absent ACL is not removed",
    modes: EVERY,
    reason:
      "The owner of a lower object with setgid, outside its group, removes an ACL. The kernel clears setgid first, which copies the object up, and removing an absent ACL of the copy succeeds. Sluice finds nothing to remove (ENODATA) and copies nothing up. If Sluice has copied up another name of the file, the results are exchanged.",
    explains: ({ place, kernel, sluice }) =>
      place.kind === "step" &&
      place.operation.call === "removexattr" &&
      isAcl(place.operation) &&
      ((kernel === "ok" && sluice === "ENODATA") || (kernel === "ENODATA" && sluice === "ok")),
    ends: true,
  },
  {
    name: "copy_file_range over several file systems",
    modes: EVERY,
    reason:
      "The kernel refuses to copy between layers on different file systems (EXDEV), as between mounts. For the caller it is one file system, so Sluice copies.",
    explains: ({ place, kernel, sluice }) =>
      place.kind === "step" && place.operation.call === "copyrange" && kernel === "EXDEV" && Number(sluice) >= 0,
    ends: true,
  },
  {
    name: "a passthrough reader stays on the lower file",
    modes: PASSED,
    reason:
      "An open for reading is tied to the lower file until it is closed (fs/fuse/iomode.c). The size is that of the copy, so a mapping may reach beyond the end of the lower file (SIGBUS). Mediated readers follow a copy-up.",
    explains: (found) => READS.includes(callOf(found)) && factsOf(found).lowerReader === true,
    // From then on its earlier data is in another file.
    spoils: ({ operation, kernel: { facts, results } }) =>
      operation.call === "copyrange" && facts?.lowerReader === true && Number(results[0]) > 0,
  },
  {
    name: "a lower file without a name can be changed",
    modes: EVERY,
    reason:
      "The kernel cannot copy up a file that lost its name (EEXIST), and still counts a link. Sluice copies it without a name, as any file system would.",
    explains: (found) =>
      ATTRIBUTES.includes(callOf(found)) &&
      factsOf(found).state === "unlinked-open" &&
      factsOf(found).fromLower === true &&
      (isError(found.kernel) || !isError(found.sluice)) &&
      (callOf(found) !== "fstat" || linksOf(found.sluice) < linksOf(found.kernel)),
  },
  {
    name: "a removed directory cannot be changed",
    modes: EVERY,
    reason:
      "A caller changes a lower directory by a descriptor after another directory was renamed over it. The kernel copies it up under its old name, over the new directory, which cannot be listed from then on. Sluice answers ENOENT, as for any change of a removed lower directory (the kernel answers ENOTDIR).",
    explains: (found) =>
      ATTRIBUTES.includes(callOf(found)) &&
      factsOf(found).state === "unlinked-open" &&
      factsOf(found).fromLower === true &&
      found.kernel === "ok" &&
      found.sluice === "ENOENT",
    ends: true,
  },
  {
    name: "removed objects stay removed",
    modes: EVERY,
    reason:
      "A caller changes a lower device, FIFO or socket by a descriptor after its removal. The kernel copies it up under its old name, in place of the whiteout or of the new object of that name. Sluice copies it without a name. Later steps are not compared.",
    spoils: ({ operation, kernel: { facts, results } }) =>
      CHANGES.has(operation.call) && facts?.state === "unlinked-open" && facts.fromLower === true && !isError(results[0]),
  },
  {
    name: "copy-up preserves every hole",
    modes: EVERY,
    reason: "The kernel copies a mebibyte from the start of data. Sluice preserves every hole.",
    explains: ({ place }) =>
      place.kind === "step" && place.operation.call === "seek" && Number(place.operation.args["whence"]) >= SEEK.DATA,
  },
  {
    name: "times of a written mapping, mediated",
    modes: ["mediated", "mixed", "named", "portable"],
    reason:
      "A change by a mapping reaches the daemon when the kernel writes the page back, at the latest at unmap. The time of change moves then, not at the first touch.",
    levels: (found) => (callOf(found) === "mapwrite" ? levelTime : undefined),
  },
  {
    name: "the end of a directory",
    modes: EVERY,
    reason:
      "In a directory, the kernel's overlayfs refuses SEEK_END (EINVAL) or asks the file system below. FUSE seeks by the size and does not ask the daemon (fs/fuse/dir.c); in a removed directory by its last size.",
    // A later seek from there ends elsewhere, too: the kernel computes it without asking, whatever the file system.
    explains: ({ place, kernel, sluice }) =>
      place.kind === "step" &&
      place.operation.call === "seek" &&
      ((place.operation.args["whence"] === SEEK.END && (kernel === "EINVAL" || Number(kernel) >= Number.MAX_SAFE_INTEGER)) ||
        (place.operation.args["whence"] === SEEK.CUR && isPlace(kernel) && isPlace(sluice))),
  },
  {
    name: "open objects are reached by path",
    modes: ["portable"],
    reason: "libfuse asks by path only, so an open directory or special file without a path is ENOENT (handleSurvivesDirectory).",
    explains: (found) => factsOf(found).state === "unlinked-open" && found.sluice === "ENOENT",
  },
  {
    name: "the position in a directory that was read to its end",
    modes: EVERY,
    reason:
      "A merged list, or libfuse's, counts entries; the file systems below end at the largest offset. So read(2) of that directory is EISDIR on one and EINVAL on the other. After several names were copied up together, different directories are merged on both.",
    explains: ({ place, kernel, sluice }) =>
      place.kind === "step" &&
      ["fread", "pread"].includes(place.operation.call) &&
      ((kernel === "errno 22" && sluice === "errno 21") || (place.swapped && kernel === "errno 21" && sluice === "errno 22")),
  },
  {
    name: "a chown(2) that names no owner",
    modes: EVERY,
    reason:
      "chown(2) with -1 for both clears setuid, so the kernel requires the file's owner (EPERM). FUSE allows the call and sends the same empty request as for a stranger's write, which must succeed.",
    explains: (found) =>
      found.kernel === "EPERM" &&
      found.sluice === "ok" &&
      found.place.kind === "step" &&
      ["chown", "fchown"].includes(callOf(found)) &&
      found.place.operation.args["uid"] === -1 &&
      found.place.operation.args["gid"] === -1,
    ends: true,
  },
  {
    name: "d_ino is st_ino in every directory",
    modes: EVERY,
    reason:
      "The kernel lists the upper number of a merged directory until something in its parent was copied up. Sluice lists the number that stat returns.",
    explains: ({ place, kernel, sluice }) =>
      place.kind === "step" &&
      Array.isArray(kernel) &&
      Array.isArray(sluice) &&
      sluice.length === 0 &&
      kernel.length > 0 &&
      isInodePart(place),
  },
  {
    name: "inode numbers survive copy-up",
    modes: EVERY,
    reason: "For layers on several file systems, and for files with several names, the kernel shows another number after a copy-up.",
    explains: ({ kernel, sluice }) =>
      Array.isArray(kernel) &&
      Array.isArray(sluice) &&
      kernel.length === sluice.length &&
      kernel.every((one, index) => one === sluice[index] || (one === "other" && sluice[index] === "same")),
  },
  {
    name: "a rename or link that needs a long redirect",
    modes: EVERY,
    reason:
      "The kernel writes redirects of at most 256 bytes (its module parameter redirect_max). For a longer one it answers EXDEV, before it checks if the target is empty. It follows longer ones, and Sluice writes them.",
    explains: ({ place, kernel, sluice, history }) =>
      place.kind === "step" &&
      ["rename", "link", "linkfd"].includes(place.operation.call) &&
      kernel === "EXDEV" &&
      (sluice === "ok" || sluice === "ENOTEMPTY") &&
      history.far,
    ends: true,
  },
  {
    name: "no way around a rule by another name",
    modes: ["named"],
    reason:
      "A rename or link needs a rule at the target that is at least as strict as the source's. Otherwise a new name would bypass a rule.",
    explains: (found) => ["rename", "link", "linkfd"].includes(callOf(found)) && found.sluice === "EACCES",
    ends: true,
  },
  {
    name: "a refused call leaves nothing in upper",
    modes: EVERY,
    reason:
      "The kernel copies up before it detects that it must refuse. Sluice checks first and leaves nothing behind. If the file system below refuses the change itself, such as a size beyond its largest file, the copy stays on both.",
    explains: ({ place, kernel, sluice }) =>
      place.kind === "upper" && place.refused.has(place.path) && (sluice === undefined || (place.swapped && kernel === undefined)),
    levels: ({ place }) => {
      const refused = place.kind === "step" ? place.refused : place.refused.has(place.path);
      return refused ? eitherWay(place.swapped, levelRefusal) : undefined;
    },
  },
  {
    name: "all names of a file are copied up together",
    modes: EVERY,
    reason:
      "With index=on, the kernel copies up a file with several names one name at a time. In FUSE they are one inode, so Sluice does not learn which name the caller used. It creates all known names in upper. The merged tree is the same.",
    explains: ({ place, kernel, sluice }) =>
      place.kind === "upper" &&
      (isOneOfSeveral(kernel, sluice) ||
        isOneOfSeveral(sluice, kernel) ||
        (kernel === undefined && leadsToLinks(place.path, place.ours)) ||
        (sluice === undefined && place.swapped && leadsToLinks(place.path, place.theirs))),
    levels: ({ place }) => (place.kind === "upper" ? levelLinks : undefined),
  },
];

function isInodePart({ operation, part }: { operation: Operation; part: number }): boolean {
  return (operation.call === "list" && part === 1) || (operation.call === "relist" && part === 2);
}

/** Returns the entry that applies to a step, from which on nothing can be compared. */
export function spoiltBy(step: Step, mode: Mode): IntendedDifference | undefined {
  return intendedDifferences.find(({ modes, spoils }) => modes.includes(mode) && spoils?.(step) === true);
}

/** Returns the entries that explain a difference: one alone, or several for parts of a line. An empty result is a failure. */
export function explanationsOf(found: Found): readonly IntendedDifference[] {
  const usable = intendedDifferences.filter(({ modes }) => modes.includes(found.mode));
  const whole = usable.find(({ explains }) => explains?.(found) === true);
  return whole === undefined ? partsOf(found, usable) : [whole];
}

function partsOf(found: Found, usable: readonly IntendedDifference[]): readonly IntendedDifference[] {
  if (!isObjectLine(found.kernel) || !isObjectLine(found.sluice)) return [];
  const parts: IntendedDifference[] = [];
  let lines: Lines = [found.kernel, found.sluice];
  for (const entry of usable) {
    const before = lines;
    lines = entry.levels?.(found)?.(lines) ?? lines;
    if (lines[0] !== before[0] || lines[1] !== before[1]) parts.push(entry);
  }
  return lines[0] === lines[1] ? parts : [];
}
