/**
 * Looks at the directories that an ordinary user opened and handed over. The user may rename and replace every directory on the way to
 * them, so nothing here follows a path, and no file system is asked for more than it has told already.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { alreadyMounted, isBeneath, type MountRow, readMountTable } from "@sluice/mount-control";
import { AF, native, SOCK, StatWord, toBytes } from "@sluice/native";
import { AT, Attr, errnoName, O, S } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";

export interface GivenDirectory {
  fd: number;
  /** As the kernel knows it now: for people, and to be compared. */
  path: string;
  /** The mount that it lies on. */
  mount: MountRow;
}

/**
 * File systems that hold files of users. In others, such as proc, a directory may belong to a user without being theirs to change, or show
 * each process something else.
 */
const ORDINARY = new Set(
  (
    "bcachefs btrfs ceph cifs erofs exfat ext2 ext3 ext4 f2fs fuse fuseblk gfs2 iso9660 jfs nfs nfs4 ntfs3 ocfs2 overlay ramfs reiserfs smb3 " +
    "squashfs tmpfs udf vfat virtiofs xfs zfs 9p"
  ).split(" "),
);

const attr = new Attr();

/** 0, or the negative errno. */
function look(fd: number): number {
  return native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW | AT.STATX_DONT_SYNC, attr.words);
}

function mountIdOf(fd: number): number {
  return Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? NaN);
}

function pathOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`);
}

function mountOfGiven(fd: number, table: readonly MountRow[]): MountRow | undefined {
  const id = mountIdOf(fd);
  return table.find(({ mountId }) => mountId === id);
}

/** Root has no access to a user's own FUSE mount, whether its server lives or not. */
function unseen({ path, role, errno }: { path: string; role: string; errno: number }, mount: MountRow | undefined): Error {
  if (mount?.type === "fuse.sluice" && mount.mountpoint === path && role === "mount point") return alreadyMounted(path);
  return unfit(path, `the host service cannot look at this ${role} (${errnoName(errno)})`, "name a directory that lies on no FUSE mount");
}

/** @throws CliError if it is no directory that can be part of a mount */
export function lookAtGiven(fd: number, role: string, table: readonly MountRow[]): GivenDirectory {
  const path = pathOf(fd);
  const status = look(fd);
  if (status < 0) throw unseen({ path, role, errno: -status }, mountOfGiven(fd, table));
  if ((attr.mode & S.IFMT) !== S.IFDIR || !path.startsWith("/") || path.includes("\ufffd"))
    throw unfit(path, `this ${role} is not a directory with a name in UTF-8 (ENOTDIR)`, "name another one");
  const mount = mountOfGiven(fd, table);
  if (mount === undefined) {
    const problem = `this ${role} lies in another mount namespace than that of the host service (EXDEV)`;
    throw unfit(path, problem, "call the service from its own mount namespace, outside of containers and sandboxes");
  }
  if (!ORDINARY.has(mount.type.split(".")[0] as string))
    throw unfit(path, `this ${role} lies on a file system of the type ${mount.type} (EINVAL)`, "name a directory on a disk or a tmpfs");
  return { fd, path, mount };
}

const OWN_CLIENT = "use 'sluice run --host-service'";

/** @throws CliError if it is no regular file that is open */
export function lookAtFile(fd: number): number {
  if (look(fd) < 0 || (attr.mode & S.IFMT) !== S.IFREG || (native.statusFlags(fd) & O.PATH) !== 0)
    throw unfit(pathOf(fd), "this part of a session is no regular file, or not open (EINVAL)", OWN_CLIENT);
  return fd;
}

const SOCKETS = {
  life: { type: SOCK.SEQPACKET, listens: 0, words: "the socket of a session's life is no unix socket of records" },
  control: { type: SOCK.STREAM, listens: 1, words: "the control socket of a session is no unix stream socket that listens" },
} as const;

/** @throws CliError if no server of a session could use it */
export function lookAtSocket(fd: number, role: keyof typeof SOCKETS): number {
  const { type, listens, words } = SOCKETS[role];
  const kind = native.socketKind(fd);
  if (typeof kind === "number" || kind.domain !== AF.UNIX || kind.type !== type || kind.listens !== listens)
    throw unfit(pathOf(fd), `${words} (EINVAL)`, OWN_CLIENT);
  return fd;
}

/** The user's own FUSE mounts hide directories that are the user's own. */
function isOwn({ type, superOptions }: MountRow, uid: number): boolean {
  return type.startsWith("fuse") && superOptions.split(",").includes(`user_id=${uid}`);
}

/**
 * A clone of a mount shows the directories that other mounts cover, which the user cannot see otherwise. The kernel refuses such a clone in a
 * user namespace (fs/namespace.c has_locked_children). @throws CliError
 */
export function refuseUncovering({ fd, path }: GivenDirectory, role: string, uid: number): void {
  const below = readMountTable().find((row) => row.mountpoint !== path && isBeneath(row.mountpoint, path) && !isOwn(row, uid));
  if (below !== undefined)
    throw unfit(path, `another mount lies below this ${role}, at ${below.mountpoint} (EPERM)`, "name a directory further down");
  if (pathOf(fd) !== path) throw unfit(path, `this ${role} was renamed meanwhile (ESTALE)`, "leave it in its place, and try again");
}

function identity(fd: number): string | undefined {
  return look(fd) < 0 ? undefined : [attr.devMajor, attr.devMinor, attr.ino, mountIdOf(fd)].join(":");
}

/** Whether its name in the directory above leads to it, and not to a mount that covers it. */
function isVisible({ fd, path }: GivenDirectory): boolean {
  const above = native.openat(fd, "..", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (above < 0) return false;
  const found = native.openat(above, basename(toBytes(path)), O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  const same = found >= 0 && identity(found) === identity(fd);
  for (const each of [above, found]) if (each >= 0) native.close(each);
  return same;
}

/** As fusermount3 does: a user mounts over nothing that belongs to somebody else. @throws CliError */
export function refuseForeignMountpoint(place: GivenDirectory, uid: number): void {
  const { fd, path } = place;
  if (look(fd) < 0 || attr.words[StatWord.uid] !== uid)
    throw unfit(path, "the mount point belongs to somebody else (EPERM)", "make a directory of your own, and mount there");
  if (path === "/" || !isVisible(place)) throw unfit(path, "another mount covers the mount point (EBUSY)", "name another directory");
}
