/**
 * `umount.fuse.sluice`: unmounts as umount(8) would, and returns when nothing holds the layers' file systems any more. umount(2) by
 * itself returns before the server has heard of it.
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { MNT, native, toBytes } from "@sluice/native";
import { untilFreed } from "@sluice/mount-control";

const UMOUNT_FAILURE = 32;

/** Without touching what is mounted there: its server may be dead. */
function placeOf(path: string): string {
  const absolute = resolve(path);
  return absolute === "/" ? absolute : join(realpathSync.native(dirname(absolute)), basename(absolute));
}

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
  if (path === undefined) {
    process.stderr.write("umount.fuse.sluice: no mount point is given\n");
    return 1;
  }
  const place = placeOf(path);
  const lazy = (flags & MNT.DETACH) !== 0;
  // Asked before, as nobody answers afterwards. A lazy unmount waits for nobody, so it asks nobody.
  const freed = lazy ? undefined : await untilFreed(place);
  const status = native.umount2(toBytes(place), flags);
  if (status < 0) {
    const EBUSY = -16;
    process.stderr.write(`umount.fuse.sluice: ${path}: ${status === EBUSY ? "target is busy" : `cannot unmount (errno ${-status})`}\n`);
    return UMOUNT_FAILURE;
  }
  await freed?.();
  return 0;
}

process.exit(await unmount());
