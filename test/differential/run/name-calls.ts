/** The calls of a script that take names. */
import { accessSync } from "node:fs";
import { native, parseDirents } from "@sluice/native";
import { AT, Attr, O, SEEK } from "@sluice/vfs";
import type { Args } from "../script/operation.js";
import { type Call, type Hands, number, text } from "./call.js";

/** Small, so that a listing takes several reads. */
const DIRENT_BYTES = 512;

/** Names with their types, sorted, and the names whose d_ino differs from their st_ino. */
function listFd(hands: Hands, fd: number): void {
  const bytes = Buffer.alloc(DIRENT_BYTES);
  const shown: string[] = [];
  const strangers: string[] = [];
  for (let length = native.getdents64(fd, bytes); length !== 0; length = native.getdents64(fd, bytes)) {
    if (length < 0) {
      hands.probe.note("list", `errno ${-length}`);
      return;
    }
    parseDirents(bytes, length, (name, inoLo, inoHi, type) => {
      shown.push(`${name} ${type}`);
      const attr = new Attr();
      if (
        name !== ".." &&
        native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words) === 0 &&
        (attr.words[0] !== inoLo || attr.words[1] !== inoHi)
      )
        strangers.push(name);
    });
  }
  hands.probe.note("list", shown.sort());
  hands.probe.note("d_ino", strangers.sort());
}

function list(hands: Hands, args: Args): void {
  const { probe } = hands;
  const fd = native.openat(AT.FDCWD, probe.at(text(args, "path")), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) {
    probe.note("list", `errno ${-fd}`);
    return;
  }
  listFd(hands, fd);
  native.close(fd);
}

/** access(2) checks the real ids, which are the caller's. */
function access({ probe }: Hands, args: Args): void {
  try {
    accessSync(Buffer.from(probe.at(text(args, "path")), "latin1"), number(args, "mode"));
    probe.note("access", "ok");
  } catch (error) {
    probe.note("access", (error as NodeJS.ErrnoException).code);
  }
}

/** truncate(2); Node would use an open and ftruncate(2). The path is hexadecimal, since it may not be text. */
function truncate({ probe }: Hands, args: Args): void {
  const path = Buffer.from(probe.at(text(args, "path")), "latin1").toString("hex");
  probe.perl("truncate", 'truncate(pack("H*", $ARGV[0]), $ARGV[1]) or print $!+0', path, String(number(args, "size")));
}

export const nameCalls: Readonly<Record<string, Call>> = {
  mkdir: ({ probe }, args) => probe.mkdir(text(args, "path"), number(args, "mode")),
  create: ({ probe }, args) => probe.create(text(args, "path"), text(args, "text"), number(args, "mode")),
  mknod: ({ probe }, args) => probe.mknod(text(args, "path"), number(args, "mode"), number(args, "major"), number(args, "minor")),
  symlink: ({ probe }, args) => probe.symlink(text(args, "target"), text(args, "path")),
  readlink: ({ probe }, args) => probe.readlink(text(args, "path")),
  link: ({ probe }, args) => probe.link(text(args, "path"), text(args, "to"), number(args, "flags")),
  unlink: ({ probe }, args) => probe.unlink(text(args, "path")),
  rmdir: ({ probe }, args) => probe.rmdir(text(args, "path")),
  rename: ({ probe }, args) => probe.rename(text(args, "path"), text(args, "to"), number(args, "flags")),
  chmod: ({ probe }, args) => probe.chmod(text(args, "path"), number(args, "mode")),
  chown: ({ probe }, args) => probe.chown(text(args, "path"), number(args, "uid"), number(args, "gid")),
  utimes: ({ probe }, args) => probe.utimes(text(args, "path"), number(args, "sec"), number(args, "nsec")),
  stat: ({ probe }, args) => probe.stat(text(args, "path")),
  times: ({ probe }, args) => probe.exactTimes(text(args, "path")),
  read: ({ probe }, args) => probe.read(text(args, "path")),
  statfs: ({ probe }, args) => probe.statfs(text(args, "path")),
  setxattr: ({ probe }, args) => probe.setxattr(text(args, "path"), text(args, "name"), text(args, "value"), number(args, "flags")),
  getxattr: ({ probe }, args) => probe.getxattr(text(args, "path"), text(args, "name")),
  listxattr: ({ probe }, args) => probe.listxattr(text(args, "path")),
  removexattr: ({ probe }, args) => probe.removexattr(text(args, "path"), text(args, "name")),
  list,
  relist: (hands, args) => {
    const fd = hands.fd(number(args, "slot"));
    hands.probe.note("rewind", native.lseek(fd, 0, SEEK.SET) >= 0);
    listFd(hands, fd);
  },
  access,
  truncate,
  umask: ({ probe }, args) => {
    process.umask(number(args, "mask"));
    probe.note("umask", "ok");
  },
};
