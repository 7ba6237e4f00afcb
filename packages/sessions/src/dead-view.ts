/** A view that nobody serves any more: a host service, or the process that held the view for it, was killed. Its mount stays until somebody detaches it. */
import { MNT, native, StatWord, toBytes } from "@sluice/native";
import { shellWord, unfit, unmountForUser } from "@sluice/runtime/cli";
import { AT, Attr, Errno } from "@sluice/vfs";
import { below, type Place } from "./state-directory.js";

/** The mount point of the session. Only the namespace of a command that runs has the mount, unless a host service made it. */
export const VIEW = "view";
const DEVICE = [StatWord.devMajor, StatWord.devMinor];

/** No server is asked: it may hang. */
function hasMount({ fd }: Place): boolean {
  const [directory, view] = [new Attr(), new Attr()];
  const flags = AT.SYMLINK_NOFOLLOW | AT.STATX_DONT_SYNC;
  if (native.statx(fd, "", AT.EMPTY_PATH | flags, directory.words) < 0) return false;
  const status = native.statx(fd, VIEW, flags, view.words);
  return status < 0 ? status !== -Errno.ENOENT : DEVICE.some((word) => directory.words[word] !== view.words[word]);
}

/** The session is locked, so nobody uses a view of it. An ordinary user needs root's program for that. @returns whether there is none any more */
export function detachView(session: Place): boolean {
  if (!hasMount(session)) return true;
  const { path } = below(session, VIEW);
  if (process.geteuid?.() === 0) native.umount2(toBytes(path), MNT.DETACH | MNT.UMOUNT_NOFOLLOW);
  else unmountForUser(path, { lazy: true });
  return !hasMount(session);
}

/** @throws CliError if the session cannot be removed with the view */
export function refuseView(session: Place): void {
  if (detachView(session)) return;
  const { path } = below(session, VIEW);
  throw unfit(
    path,
    "the mount of a killed command is still there (EBUSY)",
    `install fuse3, or have root run: umount -l ${shellWord(path)}`,
  );
}
