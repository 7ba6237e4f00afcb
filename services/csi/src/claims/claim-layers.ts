/**
 * Makes the upper layer and the work directory of a volume on a claim, whose pod can rename every directory there and put a link in its
 * place at any moment. Each step is one by descriptor, beneath the claim, and follows no link.
 */
import { fchmodSync, fchownSync, fstatSync, type Stats } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { native, openBeneath } from "@sluice/native";
import { CsiError, unready } from "../csi-error.js";
import type { Owner, UpperLayer } from "../volumes/volume-directory.js";

/** In the root of the claim. */
const DIRECTORY = "sluice";
/** The upper layer before it has its owner and mode. */
const NEW = "upper.new";
const O_PATH = 0o10000000;
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
const RENAME_NOREPLACE = 1;
const [ENOENT, EEXIST, ENOSPC, EDQUOT] = [2, 17, 28, 122];
const PRIVATE = 0o700;
const PROBE = "trusted.sluice.probe";

export interface ClaimLayers {
  claim: string;
  /** The directory that the claim is bound to. Nobody but root can reach it. */
  place: string;
  /** The volume's name in the pod: the layers are in a directory of this name. */
  volume: string;
  /** Of the root of the volume. */
  owner: Owner;
}

const errors: Readonly<Record<number, string>> = {
  1: "it is not permitted (EPERM): the storage must let root set owners",
  13: "permission is denied (EACCES): the storage must let root write, without root_squash",
  18: "another file system is mounted there (EXDEV): unmount it",
  20: "it is no directory, or a symbolic link (ENOTDIR): remove it",
  30: "the storage is read-only (EROFS): an upper layer needs storage that can be written",
  39: "it is not empty (ENOTEMPTY): remove it",
  40: "it is a symbolic link (ELOOP): remove it",
};

/** @param reason why its file system can have no upper layer */
export function unfitClaim(claim: string, reason: string): CsiError {
  return unready(`claim ${claim}: its file system cannot have an upper layer: ${reason}: use storage with ext4, XFS or btrfs`);
}

/** Closes what it opened at the end. */
class Claim {
  readonly #opened: number[] = [];

  constructor(readonly name: string) {}

  fail(errno: number, what: string): CsiError {
    const where = `claim ${this.name}: ${what}`;
    if (errno === ENOSPC || errno === EDQUOT)
      return new CsiError(status.RESOURCE_EXHAUSTED, `${where}: the claim is full: free space in it`);
    return unready(`${where}: ${errors[errno] ?? `it cannot be made (errno ${errno})`}`);
  }

  must(result: number, what: string): number {
    if (result < 0) throw this.fail(-result, what);
    return result;
  }

  openRoot(place: string): number {
    return this.#keep(this.must(native.openat(AT_FDCWD, Buffer.from(place).toString("latin1"), O_PATH | O_DIRECTORY, 0), "its root"));
  }

  /** Makes the directory unless it is there. @returns it, open with O_PATH */
  directory(at: number, name: string, what: string): number {
    const made = native.mkdirat(at, name, PRIVATE);
    if (made !== -EEXIST) this.must(made, what);
    return this.#keep(this.must(openBeneath(at, name, O_PATH | O_DIRECTORY, 0), what));
  }

  /** False if there is no such name. */
  has(at: number, name: string, what: string): boolean {
    const fd = openBeneath(at, name, O_PATH | O_DIRECTORY, 0);
    if (fd === -ENOENT) return false;
    this.#keep(this.must(fd, what));
    return true;
  }

  /** The upper layer marks directories by such attributes. Without them, a removed directory could show its lower files again. */
  mustHoldMarks(work: number): void {
    const set = native.setxattrat(work, "", PROBE, new Uint8Array([1]), 0);
    if (set === -ENOSPC || set === -EDQUOT) throw this.fail(-set, "work");
    if (set < 0) throw unfitClaim(this.name, `it has no trusted extended attributes (errno ${-set})`);
    native.removexattrat(work, "", PROBE);
  }

  /** It gets its name once it is whole: a driver that is killed in between leaves no layer with another owner. */
  makeUpper(at: number, { uid, gid, mode }: Owner, what: string): void {
    const left = native.unlinkat(at, NEW, AT_REMOVEDIR);
    if (left !== -ENOENT) this.must(left, `${what}.new`);
    this.must(native.mkdirat(at, NEW, PRIVATE), what);
    const fd = this.#keep(this.must(openBeneath(at, NEW, O_DIRECTORY, 0), `${what}.new`));
    // The pod may have put another directory there meanwhile, and owner and mode are given to none but a new one.
    if (!isNew(fstatSync(fd))) throw this.fail(39, `${what}.new`);
    try {
      fchownSync(fd, uid, gid);
      fchmodSync(fd, mode);
    } catch (error) {
      throw this.fail(-((error as NodeJS.ErrnoException).errno ?? -1), what);
    }
    const named = native.renameat2(at, NEW, at, "upper", RENAME_NOREPLACE);
    // NFS knows no flags; a directory takes the place of an empty one at most.
    this.must(named === -22 ? native.renameat2(at, NEW, at, "upper", 0) : named, what);
  }

  close(): void {
    for (const fd of this.#opened.splice(0)) native.close(fd);
  }

  #keep(fd: number): number {
    this.#opened.push(fd);
    return fd;
  }
}

function isNew({ uid, mode, nlink }: Stats): boolean {
  const [BITS, EMPTY] = [0o777, 2];
  return uid === process.geteuid?.() && (mode & BITS) === PRIVATE && nlink <= EMPTY;
}

/** Upper layer and work directory, which stay on the claim when the volume goes. @throws CsiError */
export function claimLayers({ claim: name, place, volume, owner }: ClaimLayers): UpperLayer {
  const claim = new Claim(name);
  const path = `${DIRECTORY}/${volume}`;
  try {
    const root = claim.openRoot(place);
    const at = claim.directory(claim.directory(root, DIRECTORY, DIRECTORY), volume, path);
    claim.mustHoldMarks(claim.directory(at, "work", `${path}/work`));
    if (!claim.has(at, "upper", `${path}/upper`)) claim.makeUpper(at, owner, `${path}/upper`);
    return { upper: join(place, path, "upper"), work: join(place, path, "work") };
  } finally {
    claim.close();
  }
}
