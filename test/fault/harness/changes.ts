/** Changes of a merged tree, each by one operation of the overlay, with the layers that it begins with. */
import type { Overlay } from "@sluice/overlay";
import { directory, file, symlink, type Tree, whiteout } from "@sluice/testkit";
import { Attr, type CallContext, O, RENAME, S, type SetAttr, type Status } from "@sluice/vfs";
import { entry, opened } from "../../e2e/harness/bare-overlay.js";

/** Gives the id of a path. */
export type Find = (path: string) => number;

export interface Change {
  name: string;
  tree: Tree;
  metacopy?: true;
  /** The reply has the attributes that it changed: the change stays if these cannot be read. */
  setsAttributes?: true;
  make(overlay: Overlay, find: Find): Status;
}

export const call: CallContext = {
  ...{ uid: 0, gid: 0, pid: 1, groups: undefined, labels: undefined },
  signal: new AbortController().signal,
};
const UNCHANGED = { uid: undefined, gid: undefined, size: undefined, mode: undefined, atime: undefined, mtime: undefined };
const LARGE = Buffer.alloc(100_000, "q");
const attributes = { xattrs: { "user.x": Buffer.from("1") } };
const NEW = { mode: 0o755, umask: 0, rdev: 0 };
const CREATE = { mode: S.IFREG | 0o666, umask: 0, flags: O.RDWR, killSuidgid: false };
/** A name that is hidden, in a directory of both layers. */
const HIDDEN: Tree = { "lower/d/x": "below", "upper/d/x": whiteout() };

const open =
  (path: string, flags: number): Change["make"] =>
  (overlay, find) =>
    overlay.open(call, find(path), flags, opened());
const set =
  (path: string, changed: Partial<SetAttr>): Change["make"] =>
  (overlay, find) =>
    overlay.setattr(
      call,
      find(path),
      { ...UNCHANGED, handle: undefined, killSuidgid: false, ...changed },
      { attr: new Attr(), attrTtlMs: 0 },
    );
const remove =
  (kind: "unlink" | "rmdir", parent: string, name: string): Change["make"] =>
  (overlay, find) =>
    overlay[kind](call, find(parent), name);
const rename =
  (from: readonly [string, string], to: readonly [string, string], flags = 0): Change["make"] =>
  (overlay, find) =>
    overlay.rename(call, { parent: find(from[0]), name: from[1], newParent: find(to[0]), newName: to[1], flags });
const at = (find: Find, name: string): { parent: number; name: string } => ({ parent: find("d"), name });

export const CHANGES: readonly Change[] = [
  { name: "an open for writing", tree: { "lower/d/e/f": file("data", attributes) }, make: open("d/e/f", O.RDWR) },
  { name: "an open of a large file", tree: { "lower/d/f": file(LARGE, { uid: 5, mode: 0o4755 }) }, make: open("d/f", O.RDWR) },
  {
    name: "a chmod that copies attributes alone",
    tree: { "lower/d/f": LARGE },
    metacopy: true,
    setsAttributes: true,
    make: set("d/f", { mode: 0o600 }),
  },
  { name: "a truncation", tree: { "lower/d/f": file(LARGE, attributes) }, setsAttributes: true, make: set("d/f", { size: 5 }) },
  {
    name: "a chmod of a directory",
    tree: { "lower/d/e/": directory(attributes) },
    setsAttributes: true,
    make: set("d/e", { mode: 0o700 }),
  },
  { name: "a chown of a symlink", tree: { "lower/d/s": symlink("target") }, setsAttributes: true, make: set("d/s", { uid: 7 }) },
  {
    name: "a setxattr",
    tree: { "lower/d/f": file("1", attributes) },
    make: (overlay, find) =>
      overlay.setxattr(call, find("d/f"), { name: "user.b", value: LARGE.subarray(0, 9), flags: 0, killSgid: false }),
  },
  {
    name: "a removexattr",
    tree: { "lower/d/f": file("1", attributes) },
    make: (overlay, find) => overlay.removexattr(call, find("d/f"), "user.x"),
  },
  { name: "the removal of a lower file", tree: { "lower/d/f": "1" }, make: remove("unlink", "d", "f") },
  { name: "the removal of a copied-up file", tree: { "lower/d/f": "1", "upper/d/f": "2" }, make: remove("unlink", "d", "f") },
  {
    name: "the removal of an emptied directory",
    tree: { "lower/d/e/f": "1", "upper/d/e/f": whiteout() },
    make: remove("rmdir", "d", "e"),
  },
  { name: "a mkdir", tree: { "lower/d/x": "1" }, make: (overlay, find) => overlay.mkdir(call, at(find, "new"), NEW, entry()) },
  { name: "a mkdir over a whiteout", tree: HIDDEN, make: (overlay, find) => overlay.mkdir(call, at(find, "x"), NEW, entry()) },
  {
    name: "a creation over a whiteout",
    tree: HIDDEN,
    make: (overlay, find) => overlay.create(call, at(find, "x"), CREATE, { entry: entry(), open: opened() }),
  },
  { name: "a symlink over a whiteout", tree: HIDDEN, make: (overlay, find) => overlay.symlink(call, at(find, "x"), "to", entry()) },
  {
    name: "a link over a whiteout",
    tree: { ...HIDDEN, "lower/e/f": file("1", attributes) },
    make: (overlay, find) => overlay.link(call, find("e/f"), at(find, "x"), entry()),
  },
  {
    name: "a rename of a lower file over another one",
    tree: { "lower/d/f": file("1", attributes), "lower/e/g": "2" },
    make: rename(["d", "f"], ["e", "g"]),
  },
  {
    name: "a rename of a copied-up file over a whiteout",
    tree: { ...HIDDEN, "lower/e/f": "0", "upper/e/f": "1" },
    make: rename(["e", "f"], ["d", "x"]),
  },
  { name: "a rename of a lower directory", tree: { "lower/d/s/f": "1", "lower/e/": directory() }, make: rename(["d", "s"], ["e", "t"]) },
  {
    name: "a rename of a directory over an emptied one",
    tree: { "lower/d/s/f": "1", "lower/e/t/g": "2", "upper/e/t/g": whiteout() },
    make: rename(["d", "s"], ["e", "t"]),
  },
  {
    name: "an exchange of a file and a directory",
    tree: { "lower/d/f": "1", "lower/e/g/b": "2", "upper/e/g/c": "3" },
    make: rename(["d", "f"], ["e", "g"], RENAME.EXCHANGE),
  },
];
