/**
 * Registers backing files for servers, and trusts none: the file must be regular, opened rather than O_PATH, and in one of the keeper's own
 * mount clones. The descriptor's unique mount id proves that; a path could race or lie.
 */
import { type PlanCaller, registerAsCaller } from "@sluice/keeper-link";
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

export interface Registrable {
  /** The mounts of the layers. */
  clones: ReadonlySet<bigint>;
  /** The one of them in which files can be changed. */
  changeable: bigint | undefined;
  /** An ordinary user who chose the layers; undefined: root did. */
  caller: PlanCaller | undefined;
}

/** Low words of stx_attributes. */
const IMMUTABLE_OR_APPEND = 0x10 | 0x20;

/**
 * Whether the kernel could open the file in other ways than `flags` for the caller, who may serve the mount and name any mode in it: the
 * kernel opens a backing file as its mount's user asks, and checks no permission of it then. The owner of a file may have any of it.
 * `attr` is that of the file.
 */
function opensMore(flags: number, { caller, changeable }: Registrable): boolean {
  // Through the mounts of the other layers nothing can be written, so each descriptor is open for reading alone.
  if (caller === undefined || mountId() !== changeable) return false;
  if (((attr.words[StatWord.attributes] as number) & IMMUTABLE_OR_APPEND) !== 0) return true;
  return (flags & O.ACCMODE) !== O.RDWR && attr.uid !== caller.uid;
}

/** 0 if `fd` is an opened regular file in one of the mounts, otherwise the negative errno. */
function refusal(fd: number, registrable: Registrable): number {
  const flags = native.statusFlags(fd);
  if (flags < 0) return flags;
  if ((flags & O.PATH) !== 0) return -Errno.EBADF;
  const status = look(fd);
  if (status < 0) return status;
  if ((attr.mode & S.IFMT) !== S.IFREG) return -Errno.EINVAL;
  if (((attr.words[StatWord.mask] as number) & STATX_MNT_ID_UNIQUE) === 0) return -Errno.EOPNOTSUPP;
  if (!registrable.clones.has(mountId())) return -Errno.EXDEV;
  return opensMore(flags, registrable) ? -Errno.EPERM : 0;
}

/** A backing id, or the negative errno. */
export function registerChecked(fuseFd: number, fd: number, registrable: Registrable): number {
  const refused = refusal(fd, registrable);
  if (refused !== 0) return refused;
  const { caller } = registrable;
  return caller === undefined ? native.backingOpenWithoutFsetid(fuseFd, fd) : registerAsCaller(caller, fuseFd, fd);
}
