/**
 * Registers backing files for servers, and trusts none: the file must be regular, opened rather than O_PATH, and in one of the keeper's own
 * mount clones. The descriptor's unique mount id proves that; a path could race or lie.
 */
import { native, StatWord } from "@sluice/native";
import { AT, Attr, Errno, O, S } from "@sluice/vfs";

/** Does not ask the server of a FUSE file: it could be the very server that the keeper checks. */
/** The id is the unique one, which the kernel never reuses. */
const STATX_MNT_ID_UNIQUE = 0x4000;

const BLOCK_BYTES = 512;

const attr = new Attr();

function look(fd: number): number {
  return native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW | AT.STATX_DONT_SYNC, attr.words);
}

function mountId(): bigint {
  return (BigInt(attr.words[StatWord.mountIdHi] as number) << 32n) | BigInt(attr.words[StatWord.mountIdLo] as number);
}

/** @throws if the descriptor, which is our own, is invalid */
export function mountIdOf(fd: number): bigint {
  if (look(fd) < 0) throw new Error("a layer's descriptor cannot be looked at");
  return mountId();
}

/** Whether `fd`, opened or O_PATH, belongs to one of the mounts `clones`. */
export function isOf(fd: number, clones: ReadonlySet<bigint>): boolean {
  return look(fd) === 0 && clones.has(mountId());
}

/** The size of the file or of its blocks, whichever is larger; or the negative errno. */
export function sizeOf(fd: number): number {
  const status = look(fd);
  return status < 0 ? status : Math.max(attr.size, attr.blocks * BLOCK_BYTES);
}

/** 0 if `fd` is an opened regular file in one of the mounts `clones`, otherwise the negative errno. */
function refusal(fd: number, clones: ReadonlySet<bigint>): number {
  const flags = native.statusFlags(fd);
  if (flags < 0) return flags;
  if ((flags & O.PATH) !== 0) return -Errno.EBADF;
  const status = look(fd);
  if (status < 0) return status;
  if ((attr.mode & S.IFMT) !== S.IFREG) return -Errno.EINVAL;
  if (((attr.words[StatWord.mask] as number) & STATX_MNT_ID_UNIQUE) === 0) return -Errno.EOPNOTSUPP;
  return clones.has(mountId()) ? 0 : -Errno.EXDEV;
}

/** A backing id, or the negative errno. */
export function registerChecked(fuseFd: number, fd: number, clones: ReadonlySet<bigint>): number {
  const refused = refusal(fd, clones);
  return refused !== 0 ? refused : native.backingOpenWithoutFsetid(fuseFd, fd);
}
