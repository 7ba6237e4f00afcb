/**
 * One bug for each trap that other overlays fell into, as changes of the built code, and the short run that must find it.
 * Patches name text that occurs once, in a function; when the code changes, they have to.
 */
import { cases, type Directed } from "./directed-runs.js";

export interface Patch {
  /** The end of the module's path. */
  file: string;
  find: string;
  replace: string;
}

export interface Mutant {
  /** The symptom, as a user would report it. */
  name: string;
  patches: readonly Patch[];
  run: Directed;
}

const OVERLAY = "overlay/dist";

function patch(file: string, find: string, replace: string): readonly Patch[] {
  return [{ file: `${OVERLAY}/${file}`, find, replace }];
}

/** Another line of the table of open modes. */
function otherwise(condition: string, outcome: string): readonly Patch[] {
  const find = 'return MODE_TABLE[isCached ? "cached" : mode][requested];';
  return patch("open/mode-table.js", find, `return ${condition} ? "${outcome}" : MODE_TABLE[isCached ? "cached" : mode][requested];`);
}

export const mutants: readonly Mutant[] = [
  {
    name: "attributes are changed through symbolic links",
    patches: patch(
      "operations/setattr.js",
      "set.uid ?? -1, set.gid ?? -1, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)",
      "set.uid ?? -1, set.gid ?? -1, AT.EMPTY_PATH)",
    ),
    run: cases.symlinks,
  },
  {
    name: "a name that is too long is just not there",
    patches: [
      {
        file: "fuse-protocol/dist/request.js",
        find: "if (length > NAME_MAX)\n            return Errno.ENAMETOOLONG;",
        replace: "if (length > NAME_MAX)\n            return Errno.ENOENT;",
      },
    ],
    run: cases.longNames,
  },
  {
    name: "an open file without a name has a link",
    patches: patch(
      "operations/getattr.js",
      "if (node.isMerged)",
      "if (node.lastPath !== undefined) attr.nlink = 1;\n    if (node.isMerged)",
    ),
    run: cases.unlinked,
  },
  {
    name: "an open file that was removed cannot be truncated",
    patches: patch(
      "operations/setattr.js",
      "    const own = file?.write === true ? -1 : openWritable(core, node, O.WRONLY);",
      "    if (node.lastPath !== undefined) return Errno.ENOENT;\n    const own = file?.write === true ? -1 : openWritable(core, node, O.WRONLY);",
    ),
    run: cases.unlinked,
  },
  {
    name: "copy-up changes the inode number",
    patches: patch("copy-up/publish.js", "if (place.copy.attr.nlink > 1 && node.indexed === undefined)", "if (node.indexed === undefined)"),
    run: cases.copyUp,
  },
  {
    name: "a directory's entries have inode numbers of their own",
    patches: patch("operations/directories.js", "    entry.inoLo = inoLo;", "    entry.inoLo = inoLo + 1;"),
    run: cases.listings,
  },
  {
    name: "umask is not asked",
    patches: patch(
      "operations/create-object.js",
      "sys.asCaller(call.uid, call.gid, creation.umask, call.groups)",
      "sys.asCaller(call.uid, call.gid, 0, call.groups)",
    ),
    run: cases.making,
  },
  {
    name: "new objects are root's",
    patches: patch(
      "operations/create-object.js",
      "sys.asCaller(call.uid, call.gid, creation.umask, call.groups)",
      "sys.asCaller(0, 0, creation.umask, call.groups)",
    ),
    run: cases.inheriting,
  },
  {
    name: "a setgid directory passes nothing on where a whiteout was",
    patches: patch("operations/create-object.js", "0o700 | (attr.mode & S.ISGID)", "0o700"),
    run: cases.inheriting,
  },
  {
    name: "a default ACL passes nothing on where a whiteout was",
    patches: patch(
      "operations/create-object.js",
      "return length === 0 ? 0 : change.setxattrat(fd",
      "return length < 1 << 20 ? 0 : change.setxattrat(fd",
    ),
    run: cases.inheriting,
  },
  {
    name: "a stranger's write leaves setuid",
    // Two paths lead there: the flag of the write, and a later request without it.
    patches: [
      { file: `${OVERLAY}/io/data.js`, find: "return cleared === mode ?", replace: "return cleared <= mode ?" },
      { file: `${OVERLAY}/operations/setattr.js`, find: "return set.mode === undefined", replace: "return set.mode === null" },
    ],
    run: cases.setuid,
  },
  {
    name: "times are stale after a mapped write in passthrough",
    patches: patch("operations/getattr.js", "node.writtenPastUs || node.aliases !== undefined ? 0 : core.config.attrTtlMs", "100000000"),
    run: cases.mappedWrites,
  },
  {
    name: "a directory of a lower layer cannot be renamed",
    patches: patch("operations/rename.js", 'const redirects = core.config.redirectDir === "on";', "const redirects = false;"),
    run: cases.renames,
  },
  {
    name: "RENAME_NOREPLACE is not known",
    patches: patch(
      "operations/rename.js",
      "if ((flags & ~(RENAME.NOREPLACE | RENAME.EXCHANGE)) !== 0)",
      "if ((flags & ~RENAME.EXCHANGE) !== 0)",
    ),
    run: cases.noReplace,
  },
  {
    name: "RENAME_EXCHANGE moves",
    patches: patch("operations/rename.js", "plan.newName, RENAME.EXCHANGE) || 0;", "plan.newName, 0) || 0;"),
    run: cases.renames,
  },
  {
    name: "a renamed directory forgets where its lower entries are",
    patches: patch("operations/mark-moved.js", "    const lower = node.dirs?.[1];", "    return 0;\n    const lower = node.dirs?.[1];"),
    run: cases.renames,
  },
  {
    name: "a directory of nothing but whiteouts is not empty",
    patches: patch("merge/listing.js", "if (known === WHITEOUT)", "if (known === undefined)"),
    run: cases.emptied,
  },
  {
    name: "rewinding a directory shows what was there",
    patches: patch(
      "operations/directories.js",
      "    if (args.offset === 0)\n        begin(core, directory);",
      "    if (args.offset === 0 && directory.listing === undefined)\n        begin(core, directory);",
    ),
    run: cases.rewinds,
  },
  {
    name: "times before 1970 are 0",
    patches: patch("operations/setattr.js", "mtimeSec: set.mtime?.sec ?? 0,", "mtimeSec: Math.max(0, set.mtime?.sec ?? 0),"),
    run: cases.oldTimes,
  },
  {
    name: "O_TMPFILE is not there",
    patches: patch(
      "open/create-file.js",
      "    const copied = mayAdd(core, parent) || copyUpDirectory(core, parent);",
      "    return Errno.EOPNOTSUPP;\n    const copied = mayAdd(core, parent) || copyUpDirectory(core, parent);",
    ),
    run: cases.making,
  },
  {
    name: "readers stay with the lower file after a copy-up",
    patches: [
      { file: `${OVERLAY}/copy-up/publish.js`, find: 'if (file.mode === "passthrough")', replace: "if (file.mode !== undefined)" },
      {
        file: `${OVERLAY}/io/current-fd.js`,
        find: 'if (file.layer === layer || file.mode === "passthrough")',
        replace: "if (file.mode !== undefined)",
      },
    ],
    run: cases.readers,
  },
  {
    name: "after some traffic unlink says EISDIR",
    patches: patch(
      "operations/remove.js",
      "    if (!node.inUpper)\n        return putWhiteout(core, into, at.name);\n    if (!existsBelow",
      "    core.traffic = (core.traffic ?? 0) + 1;\n    if (core.traffic > 1) return -Errno.EISDIR;\n    if (!node.inUpper)\n        return putWhiteout(core, into, at.name);\n    if (!existsBelow",
    ),
    run: cases.removing,
  },
  {
    name: "hard links part at copy-up",
    patches: patch("copy-up/publish.js", "if (copy.attr.nlink > 1 && core.linkIndex !== undefined)", "if (copy.attr.nlink > 1e6)"),
    run: cases.copyUp,
  },
  {
    name: "callers can write the overlay's own marks",
    patches: patch(
      "marks/names.js",
      "return namespace === undefined ? attribute : namespace + ESCAPE",
      'return attribute !== "" ? attribute : namespace + ESCAPE',
    ),
    run: cases.marks,
  },
  {
    name: "a write after a copy-up goes to the lower file",
    patches: [
      { file: `${OVERLAY}/open/plan-open.js`, find: "if (tiedTo === plan.layer)", replace: "if (tiedTo !== undefined)" },
      { file: `${OVERLAY}/io/renumber.js`, find: "io.backing.layer !== layer", replace: "io.backing.layer === undefined" },
    ],
    run: cases.heldReaders,
  },
  {
    name: "an open in another mode fails while passthrough is live",
    patches: otherwise('mode === "passthrough" && requested === "mediate"', "cached"),
    run: cases.mixedModes,
  },
  {
    name: "an open that is granted fails while the file is cached",
    patches: otherwise('(isCached || mode === "cached") && requested === "grant"', "passthrough"),
    run: cases.mixedModes,
  },
  {
    name: "O_TRUNC does not truncate",
    patches: patch("io/data.js", "return cleared < 0 ? cleared : effects(permit).ftruncate(fd, 0);", "return cleared;"),
    run: cases.opening,
  },
  {
    name: "copy-up loses attributes",
    patches: patch(
      "copy-up/copy-metadata.js",
      '        if (name === "" || isMark(core.marks, name))',
      '        if (name !== "" || isMark(core.marks, name))',
    ),
    run: cases.attributes,
  },
  {
    name: "copy-up sets the time to now",
    patches: patch(
      "copy-up/copy-metadata.js",
      "copyAttributes(target, source, attr.words)",
      // UTIME_NOW for the nanoseconds of mtime.
      "copyAttributes(target, source, attr.words.with(13, 0x3fffffff))",
    ),
    run: cases.attributes,
  },
  {
    name: "a removed lower file shows again",
    patches: patch(
      "operations/remove.js",
      "    if (!existsBelow(core, at.parent, at.name))\n        return effects(permit).unlinkat(into, at.name, 0);",
      '    if (at.name !== "")\n        return effects(permit).unlinkat(into, at.name, 0);',
    ),
    run: cases.removing,
  },
  {
    name: "a directory made over a whiteout shows what was hidden",
    patches: patch("operations/create-object.js", "    if (!creation.directory)\n        return 0;", "    return 0;"),
    run: cases.making,
  },
];
