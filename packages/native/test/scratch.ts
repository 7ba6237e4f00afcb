/** Shared by the addon's tests: scratch directories on tmpfs and on disk, and stats as plain values. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native, STAT_WORDS, StatWord } from "../src/index.js";

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
export const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
export const O_PATH = 0o10000000;

export const errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENXIO: 6,
  EROFS: 30,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ELOOP: 40,
  ENODATA: 61,
  EOPNOTSUPP: 95,
} as const;

/** tmpfs, and the file system that holds temporary files (ext4 on most machines). */
export const places = { tmpfs: "/dev/shm", disk: tmpdir() } as const;

export interface Scratch {
  path: string;
  /** The directory, open O_RDONLY. */
  dir: number;
  remove(): void;
}

export function makeScratch(place: string): Scratch {
  const path = mkdtempSync(join(place, "sluice-native-"));
  const dir = native.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
  return {
    path,
    dir,
    remove: () => {
      native.close(dir);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

export interface PlainStat {
  ino: bigint;
  size: bigint;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  atimeSec: bigint;
  atimeNsec: number;
  mtimeSec: bigint;
  mtimeNsec: number;
  device: string;
  mountId: bigint;
}

/** @throws where the stat fails */
export function statOf(dirfd: number, name: string, flags = name === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW): PlainStat {
  const words = new Uint32Array(STAT_WORDS);
  const status = native.statx(dirfd, name, flags, words);
  if (status !== 0) throw new Error(`statx: ${status}`);
  const word = (at: number): number => words[at] ?? 0;
  const wide = (at: number): bigint => (BigInt(word(at + 1)) << 32n) | BigInt(word(at));
  return {
    ino: wide(StatWord.inoLo),
    size: wide(StatWord.sizeLo),
    mode: word(StatWord.mode),
    nlink: word(StatWord.nlink),
    uid: word(StatWord.uid),
    gid: word(StatWord.gid),
    rdev: word(StatWord.rdev),
    atimeSec: BigInt.asIntN(64, wide(StatWord.atimeLo)),
    atimeNsec: word(StatWord.atimeNsec),
    mtimeSec: BigInt.asIntN(64, wide(StatWord.mtimeLo)),
    mtimeNsec: word(StatWord.mtimeNsec),
    device: `${word(StatWord.devMajor)}:${word(StatWord.devMinor)}`,
    mountId: wide(StatWord.mountIdLo),
  };
}

/** Creates an empty file and gives its descriptor, open for reading and writing. */
export function createFile(dirfd: number, name: string, mode = 0o644): number {
  const fd = native.openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL, mode);
  if (fd < 0) throw new Error(`cannot create ${JSON.stringify(name)}: ${fd}`);
  return fd;
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

export function textOf(bytes: Uint8Array, length: number): string {
  return Buffer.from(bytes.subarray(0, length)).toString("latin1");
}
