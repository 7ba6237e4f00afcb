/** Creates the objects of a tree literal below a directory, with old, fixed times, so that a changed time shows. */
import { check, native } from "@sluice/native";
import { AT, O, S } from "@sluice/vfs";
import type { Entry, Traits, Tree } from "./tree.js";

/** 2001-09-09: any later time than the day before the run was set during the run. */
const PLANTED_AT = [1_000_000_000, 123_456_789] as const;

/** Each entry of `tree` is a directory of its own; the paths of hard links in it are relative to it. */
export function plantTree(root: string, tree: Tree): void {
  for (const [name, entry] of Object.entries(tree)) {
    if (typeof entry !== "string") plantEntry(`${root}/${name}`, `${root}/${name}`, entry);
  }
}

function plantEntries(root: string, path: string, tree: Tree): void {
  for (const [name, entry] of Object.entries(tree)) {
    plantEntry(root, `${path}/${name}`, typeof entry === "string" ? { kind: "file", content: entry, traits: {} } : entry);
  }
}

/** Creates one object; paths of hard links are relative to `root`. */
function plantEntry(root: string, path: string, entry: Entry): void {
  switch (entry.kind) {
    case "whiteout":
      check(native.mknodat(AT.FDCWD, path, S.IFCHR, 0, 0), `plant whiteout ${path}`);
      return;
    case "hard-link":
      check(native.linkat(AT.FDCWD, `${root}/${entry.to}`, AT.FDCWD, path, 0), `plant link ${path}`);
      return;
    case "directory":
      check(native.mkdirat(AT.FDCWD, path, 0o700), `plant directory ${path}`);
      plantEntries(root, path, entry.entries);
      return furnish(path, entry.traits, 0o755);
    case "symlink":
      check(native.symlinkat(entry.target, AT.FDCWD, path), `plant symlink ${path}`);
      return furnish(path, entry.traits, undefined);
    case "file":
      plantFile(path, entry);
      return furnish(path, entry.traits, 0o644);
    case "fifo":
    case "socket":
      check(native.mknodat(AT.FDCWD, path, entry.kind === "fifo" ? S.IFIFO : S.IFSOCK, 0, 0), `plant ${entry.kind} ${path}`);
      return furnish(path, entry.traits, 0o644);
    case "device":
      check(native.mknodat(AT.FDCWD, path, entry.character ? S.IFCHR : S.IFBLK, entry.major, entry.minor), `plant device ${path}`);
      return furnish(path, entry.traits, 0o644);
  }
}

function plantFile(path: string, entry: Extract<Entry, { kind: "file" }>): void {
  const fd = check(native.openat(AT.FDCWD, path, O.CREAT | O.EXCL | O.RDWR, 0o600), `plant file ${path}`);
  if (entry.sizeBytes !== undefined) check(native.ftruncate(fd, entry.sizeBytes), `size ${path}`);
  for (const [at, text] of Object.entries({ 0: entry.content, ...entry.pieces })) {
    const bytes = Buffer.from(text, "latin1");
    check(native.pwrite(fd, bytes, { offset: 0, length: bytes.length, position: Number(at) }, 0), `fill ${path}`);
  }
  native.close(fd);
}

function furnish(path: string, traits: Traits, defaultMode: number | undefined): void {
  const mode = traits.mode ?? defaultMode;
  check(native.fchownat(AT.FDCWD, path, traits.uid ?? 0, traits.gid ?? 0, AT.SYMLINK_NOFOLLOW), `own ${path}`);
  if (mode !== undefined) check(native.fchmodat(AT.FDCWD, path, mode, 0), `set the mode of ${path}`);
  for (const [name, value] of Object.entries(traits.xattrs ?? {})) {
    check(native.setxattrat(AT.FDCWD, path, name, Buffer.from(value, "latin1"), 0), `set ${name} of ${path}`);
  }
  const [mtimeSec, mtimeNsec] = traits.mtime ?? PLANTED_AT;
  const [atimeSec, atimeNsec] = traits.atime ?? PLANTED_AT;
  check(native.utimensat(AT.FDCWD, path, { atimeSec, atimeNsec, mtimeSec, mtimeNsec }, AT.SYMLINK_NOFOLLOW), `set the times of ${path}`);
}
