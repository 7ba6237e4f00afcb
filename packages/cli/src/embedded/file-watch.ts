/**
 * Checks whether a file may have changed since the last check: one short call, so that it can run before each open. It asks no FUSE file
 * system, which might be our own, since this thread would have to answer. The kernel has the new times before the write returns, which no
 * notification can promise.
 */
import { native, STAT_WORDS, StatWord, toBytes } from "@sluice/native";
import { AT, Errno, O } from "@sluice/vfs";
import type { FoundFile } from "./open-policy-file.js";

/** The resolution of file times may be this coarse: a second write within it could be invisible. */
const STABLE_MS = 200;
/** Of a file system that keeps times in whole seconds, as an ext4 with small inodes, or in pairs of them, as FAT. */
const COARSE_STABLE_MS = 2_000;
const RESOLVE_CACHED = 0x20;
const WATCHED = [
  StatWord.inoLo,
  StatWord.inoHi,
  StatWord.sizeLo,
  StatWord.sizeHi,
  StatWord.mtimeLo,
  StatWord.mtimeNsec,
  StatWord.ctimeLo,
  StatWord.ctimeHi,
  StatWord.ctimeNsec,
  StatWord.devMajor,
  StatWord.devMinor,
] as const;

/** ext2 to 4, XFS, Btrfs, tmpfs, overlayfs: the kernel answers for their files without asking anybody. */
const LOCAL = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630]);
const fileSystem = new Float64Array(12);

/** Opens a path in steps that cannot wait for a FUSE file system of our own. */
export type OpenByStep = (path: string) => FoundFile;

/** Compares each check with the one before. A deleted file changes once. */
export class FileWatch {
  readonly #now = new Uint32Array(STAT_WORDS);
  readonly #seen = new Uint32Array(STAT_WORDS);
  readonly #name: string;
  #seenStatus = 1;
  #stableAtMs = 0;
  #isLocal = false;
  #isPlain = false;

  constructor(
    readonly path: string,
    private readonly openByStep: OpenByStep,
  ) {
    this.#name = toBytes(path);
    this.touched();
  }

  /** The file system of the last check may be asked, since the file was opened in steps. */
  #isKnownDevice(): boolean {
    const { devMajor, devMinor } = StatWord;
    return this.#seenStatus === 0 && this.#now[devMajor] === this.#seen[devMajor] && this.#now[devMinor] === this.#seen[devMinor];
  }

  #look(): number {
    // Only root can redirect a plain path. A link in place of the file is noticed, and not followed.
    const plain = this.#isPlain && this.#isLocal;
    const status = plain ? native.statx(AT.FDCWD, this.#name, AT.SYMLINK_NOFOLLOW, this.#now) : native.statCached(this.#name, this.#now);
    if (status === -Errno.EAGAIN) return this.#lookByStep();
    if (status < 0) return status;
    if (!this.#isKnownDevice() || (plain && this.#isAnother())) return this.#lookByStep();
    return this.#isLocal ? 0 : this.#ask();
  }

  #isSame(): boolean {
    for (let at = 0; at < WATCHED.length; at++) {
      const word = WATCHED[at] as number;
      if (this.#now[word] !== this.#seen[word]) return false;
    }
    return true;
  }

  #isAnother(): boolean {
    const { inoLo, inoHi } = StatWord;
    return this.#now[inoLo] !== this.#seen[inoLo] || this.#now[inoHi] !== this.#seen[inoHi];
  }

  /** On a file system that other machines change, the kernel's cache is not enough. */
  #ask(): number {
    const fd = native.openat2(AT.FDCWD, this.#name, O.PATH | O.CLOEXEC, 0, RESOLVE_CACHED);
    if (fd < 0) return this.#lookByStep();
    native.statx(fd, "", AT.EMPTY_PATH | AT.STATX_DONT_SYNC, this.#now);
    const status = this.#isKnownDevice() ? native.statx(fd, "", AT.EMPTY_PATH, this.#now) : undefined;
    native.close(fd);
    return status ?? this.#lookByStep();
  }

  #lookByStep(): number {
    const { fd, isPlain } = this.openByStep(this.path);
    this.#isPlain = isPlain;
    if (fd < 0) return fd;
    const status = native.statx(fd, "", AT.EMPTY_PATH, this.#now);
    native.fstatfs(fd, fileSystem);
    this.#isLocal = LOCAL.has(fileSystem[0] as number);
    native.close(fd);
    return status;
  }

  /** A file that came to the name, but was written long ago, cannot be written again with the same times. */
  #changedMs(status: number): number {
    const seconds = (this.#now[StatWord.ctimeHi] as number) * 2 ** 32 + (this.#now[StatWord.ctimeLo] as number);
    return status === 0 ? seconds * 1_000 + (this.#now[StatWord.ctimeNsec] as number) / 1e6 : Date.now();
  }

  /** Also true for a moment after a change, because a second one could be invisible. */
  touched(): boolean {
    const status = this.#look();
    if (status !== this.#seenStatus || (status === 0 && !this.#isSame())) {
      this.#seen.set(this.#now);
      this.#seenStatus = status;
      const isCoarse = status === 0 && this.#now[StatWord.ctimeNsec] === 0;
      this.#stableAtMs = this.#changedMs(status) + (isCoarse ? COARSE_STABLE_MS : STABLE_MS);
      if (Date.now() >= this.#stableAtMs) this.#stableAtMs = 0;
      return true;
    }
    if (this.#stableAtMs === 0) return false;
    if (Date.now() >= this.#stableAtMs) this.#stableAtMs = 0;
    return true;
  }
}
