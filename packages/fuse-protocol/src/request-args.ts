/**
 * The arguments of a request in the filesystem's form, one object of each kind, refilled for every request.
 * One RequestArgs belongs to one request at a time: a method that waits keeps its arguments until its promise settles.
 */
import type {
  CopyRangeArgs,
  CreateArgs,
  FallocateArgs,
  FileOffset,
  IoArgs,
  IoctlArgs,
  LockArgs,
  NodeArgs,
  ReaddirArgs,
  ReleaseArgs,
  RenameArgs,
  SecurityLabel,
  SetAttr,
  WriteArgs,
  XattrSetArgs,
} from "@sluice/vfs";
import { readU64 } from "./wire.js";

const NOTHING = new Uint8Array(0);

/** The times stay allocated; a field is undefined or one of them. */
export class SetAttrArgs implements SetAttr {
  mode: number | undefined = undefined;
  uid: number | undefined = undefined;
  gid: number | undefined = undefined;
  size: FileOffset | undefined = undefined;
  atime: { sec: number; nsec: number } | undefined = undefined;
  mtime: { sec: number; nsec: number } | undefined = undefined;
  handle: number | undefined = undefined;
  killSuidgid = false;
  readonly ownAtime = { sec: 0, nsec: 0 };
  readonly ownMtime = { sec: 0, nsec: 0 };
}

/** FLUSH carries a lock owner each time: it becomes a bigint only on request. */
export class ReleaseFields implements ReleaseArgs {
  handle = 0;
  flags = 0;
  flockRelease = false;
  readonly ownerWords = new Uint32Array(2);
  get lockOwner(): bigint {
    return readU64(this.ownerWords, 0);
  }
}

export class RequestArgs {
  readonly at = { parent: 0, name: "" };
  readonly setattr = new SetAttrArgs();
  readonly create: CreateArgs = { mode: 0, umask: 0, flags: 0, killSuidgid: false };
  readonly node: NodeArgs = { mode: 0, umask: 0, rdev: 0 };
  readonly rename: RenameArgs = { parent: 0, name: "", newParent: 0, newName: "", flags: 0 };
  readonly io: IoArgs = { handle: 0, offset: 0, size: 0, flags: 0 };
  readonly write: WriteArgs = {
    handle: 0,
    offset: 0,
    size: 0,
    flags: 0,
    data: NOTHING,
    killSuidgid: false,
    fromPage: false,
    lockOwner: 0n,
  };
  readonly fsync = { handle: 0, dataOnly: false };
  readonly fallocate: FallocateArgs = { handle: 0, offset: 0, length: 0, mode: 0 };
  readonly copy: CopyRangeArgs = { handleIn: 0, offsetIn: 0, nodeOut: 0, handleOut: 0, offsetOut: 0, length: 0, flags: 0 };
  readonly lock: LockArgs = { handle: 0, owner: 0n, start: 0n, end: 0n, type: 0, pid: 0, wait: false, flock: false };
  readonly readdir: ReaddirArgs = { handle: 0, offset: 0, plus: false };
  readonly release = new ReleaseFields();
  readonly setxattr: XattrSetArgs = { name: "", value: NOTHING, flags: 0, killSgid: false };
  readonly getxattr = { name: "", size: 0 };
  readonly ioctl: IoctlArgs = { handle: 0, command: 0, input: NOTHING };
  readonly lseek: { handle: number; offset: FileOffset; whence: number } = { handle: 0, offset: 0, whence: 0 };
  /** Single values: a symlink's target; open flags; a handle, if one was sent; the caller's room for an answer. */
  target = "";
  flags = 0;
  killSuidgid = false;
  handle: number | undefined = undefined;
  size = 0;
  node2 = 0;
  groups: number[] | undefined = undefined;
  labels: SecurityLabel[] | undefined = undefined;
}
