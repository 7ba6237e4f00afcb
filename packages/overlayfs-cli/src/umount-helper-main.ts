/**
 * `umount.fuse.sluice`: unmounts as umount(8) does, and returns when nothing holds the layers' file systems any more. umount(2) alone
 * returns before the server notices it.
 */
import { getSystemErrorName } from "node:util";
import { MNT, native, toBytes } from "@sluice/native";
import { realMountpoint, untilFreed } from "@sluice/mount-control";

const UMOUNT_FAILURE = 32;

function parse(argv: readonly string[]): { path: string | undefined; flags: number } {
  let path: string | undefined;
  let flags = 0;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string;
    if (!word.startsWith("-")) {
      path = word;
      continue;
    }
    if (/^-[Nt]$/.test(word)) at++;
    if (word.includes("l")) flags |= MNT.DETACH;
    if (word.includes("f")) flags |= MNT.FORCE;
  }
  return { path, flags };
}

async function unmount(): Promise<number> {
  const { path, flags } = parse(process.argv.slice(2));
  // An empty path would be the working directory.
  if (path === undefined || path === "") {
    process.stderr.write("umount.fuse.sluice: no mount point is given: name it\n");
    return 1;
  }
  const mountpoint = realMountpoint(path);
  const lazy = (flags & MNT.DETACH) !== 0;
  // The request goes out before the unmount: afterwards nobody answers. A lazy unmount waits for nobody.
  const freed = lazy ? undefined : await untilFreed(mountpoint);
  const status = native.umount2(toBytes(mountpoint), flags);
  if (status < 0) {
    const errno = getSystemErrorName(status);
    const problem = errno === "EINVAL" ? "nothing is mounted there" : "it cannot be unmounted";
    process.stderr.write(`umount.fuse.sluice: ${path}: ${errno === "EBUSY" ? "target is busy" : `${problem} (${errno}): see 'findmnt'`}\n`);
    return UMOUNT_FAILURE;
  }
  await freed?.();
  return 0;
}

process.exit(await unmount());
