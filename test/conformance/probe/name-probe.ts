/** Calls on names: create, remove, rename, look up, attributes of objects. */
import { native } from "@sluice/native";
import { AT, Attr, O, S, UTIME } from "@sluice/vfs";
import { linkTarget, namesIn, timeText, typeName } from "../tree/snapshot-tree.js";
import { errorName, Recorder } from "./recorder.js";

const FDCWD = AT.FDCWD;

/**
 * The result of a stat, without the fields that always differ: numbers of inodes and devices, block counts, sizes of
 * directories.
 */
export function statText(attr: Attr): string {
  const type = attr.mode & S.IFMT;
  const parts = [typeName(attr.mode), (attr.mode & 0o7777).toString(8), `${attr.uid}:${attr.gid}`];
  if (type !== S.IFDIR) parts.push(`nlink=${attr.nlink}`, `size=${attr.size}`);
  if (type === S.IFCHR || type === S.IFBLK) parts.push(`rdev=${attr.rdev}`);
  parts.push(`mtime=${timeText(attr.mtimeSec, attr.mtimeNsec)}`);
  return parts.join(" ");
}

export class NameProbe extends Recorder {
  mkdir(path: string, mode = 0o755): void {
    this.record(`mkdir ${path}`, native.mkdirat(FDCWD, this.at(path), mode));
  }

  /** A file with content, by open(O_CREAT | O_EXCL) and one write. */
  create(path: string, content = "", mode = 0o644): void {
    const fd = native.openat(FDCWD, this.at(path), O.CREAT | O.EXCL | O.WRONLY | O.CLOEXEC, mode);
    let result = fd;
    if (fd >= 0 && content !== "") {
      const bytes = Buffer.from(content, "latin1");
      result = native.pwrite(fd, bytes, { offset: 0, length: bytes.length, position: 0 }, 0);
    }
    if (fd >= 0) native.close(fd);
    this.record(`create ${path}`, result);
  }

  mknod(path: string, mode: number, major = 0, minor = 0): void {
    this.record(`mknod ${path} ${mode.toString(8)} ${major}:${minor}`, native.mknodat(FDCWD, this.at(path), mode, major, minor));
  }

  symlink(target: string, path: string): void {
    this.record(`symlink ${path}`, native.symlinkat(target, FDCWD, this.at(path)));
  }

  readlink(path: string): void {
    const bytes = Buffer.alloc(4096);
    const length = native.readlinkat(FDCWD, this.at(path), bytes);
    this.record(`readlink ${path}`, length, bytes.toString("latin1", 0, Math.max(0, length)));
  }

  link(from: string, to: string, flags = 0): void {
    this.record(`link ${from} ${to}`, native.linkat(FDCWD, this.at(from), FDCWD, this.at(to), flags));
  }

  /** Gives an open file without a name a name. */
  linkFd(fd: number, to: string): void {
    this.record(`link fd ${to}`, native.linkat(fd, "", FDCWD, this.at(to), AT.EMPTY_PATH));
  }

  unlink(path: string): void {
    this.record(`unlink ${path}`, native.unlinkat(FDCWD, this.at(path), 0));
  }

  rmdir(path: string): void {
    this.record(`rmdir ${path}`, native.unlinkat(FDCWD, this.at(path), AT.REMOVEDIR));
  }

  rename(from: string, to: string, flags = 0): void {
    const named = flags === 0 ? "" : ` flags ${flags}`;
    this.record(`rename ${from} ${to}${named}`, native.renameat2(FDCWD, this.at(from), FDCWD, this.at(to), flags));
  }

  chmod(path: string, mode: number): void {
    this.record(`chmod ${path} ${mode.toString(8)}`, native.fchmodat(FDCWD, this.at(path), mode, 0));
  }

  chown(path: string, uid: number, gid: number): void {
    this.record(`chown ${path} ${uid}:${gid}`, native.fchownat(FDCWD, this.at(path), uid, gid, AT.SYMLINK_NOFOLLOW));
  }

  /** Sets access and modification time to one value; UTIME.NOW and UTIME.OMIT as `nsec`. */
  utimes(path: string, sec: number, nsec = 0): void {
    const times = { atimeSec: sec, atimeNsec: nsec, mtimeSec: sec, mtimeNsec: nsec };
    this.record(`utimes ${path} ${sec}.${nsec}`, native.utimensat(FDCWD, this.at(path), times, AT.SYMLINK_NOFOLLOW));
  }

  utimesNow(path: string): void {
    this.utimes(path, 0, UTIME.NOW);
  }

  stat(path: string): void {
    const attr = new Attr();
    const status = native.statx(FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, attr.words);
    this.record(`stat ${path}`, status, statText(attr));
  }

  /** Of a directory too. */
  nlink(path: string): void {
    const attr = new Attr();
    const status = native.statx(FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, attr.words);
    this.record(`nlink ${path}`, status, attr.nlink);
  }

  exactTimes(path: string): void {
    const attr = new Attr();
    const status = native.statx(FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, attr.words);
    const text = `atime ${timeText(attr.atimeSec, attr.atimeNsec)} mtime ${timeText(attr.mtimeSec, attr.mtimeNsec)}`;
    this.record(`times ${path}`, status, text);
  }

  /** Not recorded: inode numbers are only compared with one another. */
  ino(path: string): string {
    const attr = new Attr();
    const status = native.statx(FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, attr.words);
    return status < 0 ? errorName(status) : `${attr.words[1]}:${attr.words[0]}`;
  }

  same(what: string, one: string, other: string): void {
    this.note(what, one === other ? "same" : "different");
  }

  exists(path: string): void {
    this.record(`exists ${path}`, native.statx(FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, new Attr().words), true);
  }

  list(path = "."): void {
    const fd = native.openat(FDCWD, this.at(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    if (fd < 0) {
      this.record(`list ${path}`, fd);
      return;
    }
    const names = namesIn(fd);
    native.close(fd);
    this.note(
      `list ${path}`,
      names.map((name) => `${name} ${this.#typeOf(`${path}/${name}`)}`),
    );
  }

  #typeOf(path: string): string {
    const attr = new Attr();
    const status = native.statx(FDCWD, this.at(path), AT.SYMLINK_NOFOLLOW, attr.words);
    if (status < 0) return errorName(status);
    return (attr.mode & S.IFMT) === S.IFLNK ? `-> ${linkTarget(FDCWD, this.at(path))}` : typeName(attr.mode);
  }
}
