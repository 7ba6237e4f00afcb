/**
 * Opens a directory that a person named. It follows a symbolic link on the path only if root or the caller owns it: the owner of a layer, who
 * may replace a directory by a link, must not lead a command of root elsewhere.
 */
import { native } from "@sluice/native";
import { AT, Attr, Errno, O, S } from "@sluice/vfs";

const MAX_LINKS = 40;
const attr = new Attr();
const target = Buffer.alloc(4096);

function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** The target of the link, as names; the negative errno if the link may not be followed. */
function namesOfLink(fd: number): string[] | number {
  if (!isTrusted(attr.uid)) return -Errno.ELOOP;
  const length = native.readlinkat(fd, "", target);
  return length < 0 ? length : target.toString("latin1", 0, length).split("/");
}

/** An O_PATH descriptor of the object there, with `attr` filled; or the negative errno. */
function look(at: number, name: string): number {
  const fd = native.openat(at, name, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  const status = fd < 0 ? fd : native.statx(fd, "", AT.EMPTY_PATH, attr.words);
  if (fd >= 0 && status < 0) native.close(fd);
  return status < 0 ? status : fd;
}

/** `path` is absolute, a byte string. @returns an O_PATH descriptor, or the negative errno: -ELOOP at another user's link */
export function openNamed(path: string): number {
  const names = path.split("/");
  let at = look(AT.FDCWD, "/");
  for (let links = 0; at >= 0 && names.length > 0; ) {
    const next = look(at, names.shift() || ".");
    const isLink = next >= 0 && (attr.mode & S.IFMT) === S.IFLNK;
    const led = !isLink ? undefined : ++links > MAX_LINKS ? -Errno.ELOOP : namesOfLink(next);
    if (led === undefined || typeof led === "number" || led[0] === "") native.close(at);
    if (led === undefined) {
      at = next;
      continue;
    }
    native.close(next);
    if (typeof led === "number") return led;
    names.unshift(...led);
    if (led[0] === "") at = look(AT.FDCWD, "/");
  }
  return at < 0 ? at : onlyDirectory(at);
}

function onlyDirectory(fd: number): number {
  const directory = native.openat(fd, ".", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  native.close(fd);
  return directory;
}
