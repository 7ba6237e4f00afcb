/** The calls of a script on open files. */
import { native } from "@sluice/native";
import { AT, Attr, S, SEEK } from "@sluice/vfs";
import type { Args } from "../script/operation.js";
import { type Call, dataOf, type Hands, number, text } from "./call.js";

function fdOf(hands: Hands, args: Args): number {
  return hands.fd(number(args, "slot"));
}

function open(hands: Hands, args: Args): void {
  hands.holdFd(number(args, "slot"), hands.probe.open(text(args, "path"), number(args, "flags"), number(args, "mode")));
}

/** All zeros if it is unknown. */
function attrOf(fd: number): Attr {
  const attr = new Attr();
  native.statx(fd, "", AT.EMPTY_PATH, attr.words);
  return attr;
}

/** The size of a file; a removed directory's size is up to its file system. A mapping beyond the file's end gives SIGBUS. */
function mappableBytes(fd: number, most: number): number {
  const { mode, size } = attrOf(fd);
  return (mode & S.IFMT) === S.IFREG ? Math.min(size, most) : 0;
}

/** The size may be the old one, or 0. */
function isRemovedDirectory(fd: number): boolean {
  const { mode, nlink } = attrOf(fd);
  return (mode & S.IFMT) === S.IFDIR && nlink === 0;
}

/**
 * Positions of data and holes may differ (copy-up preserves every hole), but later calls start at the same position on both
 * sides.
 */
function seek(hands: Hands, args: Args): void {
  const fd = fdOf(hands, args);
  const whence = number(args, "whence");
  if (whence === SEEK.END && isRemovedDirectory(fd)) {
    hands.probe.note("seek", "the end of a removed directory");
    return;
  }
  const before = whence >= SEEK.DATA ? native.lseek(fd, 0, SEEK.CUR) : -1;
  hands.probe.seek(fd, number(args, "at"), whence);
  if (before >= 0) native.lseek(fd, before, SEEK.SET);
}

/** read(2) at the file's own position. */
function readOn({ probe }: Hands, fd: number, length: number): void {
  const bytes = Buffer.alloc(length);
  const count = native.read(fd, bytes, 0, length);
  probe.note("read", count < 0 ? `errno ${-count}` : bytes.toString("latin1", 0, count));
}

function mapped(hands: Hands, args: Args, use: ((bytes: Buffer) => void) | undefined): void {
  const fd = fdOf(hands, args);
  const length = mappableBytes(fd, number(args, "length"));
  if (length === 0) {
    hands.probe.note("map", "empty");
    return;
  }
  hands.probe.mapped(fd, length, use !== undefined, (bytes) => {
    // While the file is mapped, the kernel reports no write: cached times are stale then.
    if (use !== undefined) hands.probe.fstat(fd);
    use?.(bytes);
    if (use !== undefined) hands.probe.fstat(fd);
    hands.probe.note("mapped", bytes.toString("latin1"));
  });
}

/**
 * A private mapping that is written to, by a process that can make one: returns the mapping's content, and the file's content
 * afterwards. The numbers are mmap, read and munmap of x86-64.
 */
const PRIVATE_MAPPING = `
open(my $f, "<&=", 3) or die; open(my $z, "<", "/dev/zero") or die; my $l = $ARGV[0];
my $a = syscall(9, 0, $l, 3, 2, fileno($f), 0);
if ($a == -1) { print "errno ", $!+0; exit }
my $b = unpack("P$l", pack("Q", $a)); my $n = $l < 4 ? $l : 4;
syscall(0, fileno($z), $a, $n); my $c = unpack("P$l", pack("Q", $a));
print unpack("H*", $b), " ", unpack("H*", $c);`;

export const dataCalls: Readonly<Record<string, Call>> = {
  open,
  tmpfile: open,
  close: (hands, args) => {
    hands.drop(number(args, "slot"));
    hands.probe.note("close", "ok");
  },
  linkfd: (hands, args) => hands.probe.linkFd(fdOf(hands, args), text(args, "to")),
  fread: (hands, args) => readOn(hands, fdOf(hands, args), number(args, "length")),
  write: (hands, args) => hands.probe.write(fdOf(hands, args), dataOf(args)),
  append: (hands, args) => hands.probe.append(fdOf(hands, args), dataOf(args)),
  pread: (hands, args) => hands.probe.pread(fdOf(hands, args), number(args, "length"), number(args, "at")),
  pwrite: (hands, args) => hands.probe.pwrite(fdOf(hands, args), dataOf(args), number(args, "at")),
  ftruncate: (hands, args) => hands.probe.ftruncate(fdOf(hands, args), number(args, "size")),
  fallocate: (hands, args) => hands.probe.fallocate(fdOf(hands, args), number(args, "mode"), number(args, "at"), number(args, "length")),
  seek,
  copyrange: (hands, args) => {
    const target = { fd: hands.fd(number(args, "toSlot")), at: number(args, "toAt") };
    return hands.probe.copyRange(fdOf(hands, args), number(args, "at"), target, number(args, "length"));
  },
  mapread: (hands, args) => mapped(hands, args, undefined),
  mapwrite: (hands, args) => mapped(hands, args, (bytes) => bytes.write(text(args, "text"), number(args, "at") % bytes.length, "latin1")),
  mapprivate: (hands, args) => {
    const length = mappableBytes(fdOf(hands, args), number(args, "length"));
    if (length === 0) hands.probe.note("map", "empty");
    else hands.probe.perlOn(fdOf(hands, args), PRIVATE_MAPPING, String(length));
  },
  fsync: (hands, args) => hands.probe.fsync(fdOf(hands, args)),
  fdatasync: (hands, args) => hands.probe.fsync(fdOf(hands, args), true),
  syncfs: (hands, args) => hands.probe.syncfs(fdOf(hands, args)),
  fstat: (hands, args) => hands.probe.fstat(fdOf(hands, args)),
  fchmod: (hands, args) => hands.probe.fchmod(fdOf(hands, args), number(args, "mode")),
  fchown: (hands, args) => hands.probe.fchown(fdOf(hands, args), number(args, "uid"), number(args, "gid")),
  futimes: (hands, args) => hands.probe.futimes(fdOf(hands, args), number(args, "sec")),
  fsetxattr: (hands, args) => hands.probe.fsetxattr(fdOf(hands, args), text(args, "name"), text(args, "value")),
  fgetxattr: (hands, args) => hands.probe.fgetxattr(fdOf(hands, args), text(args, "name")),
  flock: (hands, args) => hands.probe.flock(fdOf(hands, args), number(args, "operation")),
};
