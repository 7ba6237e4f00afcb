/** Installs the commands for mount(8), umount(8) and podman, as symbolic links to this checkout or to this unpacked archive. */
import { existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CliError, EXIT } from "@sluice/runtime/cli";

const BIN = fileURLToPath(new URL("../bin", import.meta.url));
/** An archive has all commands here, which start the Node inside if there is one. A checkout has no such directory. */
const TOGETHER = fileURLToPath(new URL("../../../bin", import.meta.url));

/** mount(8) looks for helpers in /sbin alone. */
const LINKS: readonly (readonly [link: string, program: string])[] = [
  ["sbin/mount.fuse.sluice", "mount.fuse.sluice.cjs"],
  ["sbin/umount.fuse.sluice", "umount.fuse.sluice.cjs"],
  ["usr/local/bin/sluice-overlayfs", "sluice-overlayfs.cjs"],
  // For units and guides.
  ["usr/local/bin/sluice", "../../cli/bin/sluice.cjs"],
];
/** The target of a link of another checkout or archive, or of an earlier version. */
const OURS = /(?:overlayfs-cli\/bin\/[^/]+|\/cli\/bin\/sluice)\.[cm]js$|\/bin\/(?:u?mount\.fuse\.sluice|sluice(?:-overlayfs)?)$/;

function place(link: string, target: string): void {
  const there = lstatSync(link, { throwIfNoEntry: false });
  if (there !== undefined && !(there.isSymbolicLink() && OURS.test(readlinkSync(link)))) {
    throw new CliError({
      object: link,
      problem: "there is something that this command did not put there",
      errno: "EEXIST",
      remedy: "move it away",
      exitCode: EXIT.UNFIT,
    });
  }
  if (there !== undefined) unlinkSync(link);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(target, link);
}

/** @param prefix "/", or a directory for a trial. @returns lines that report the changes */
export function installLinks(prefix: string): string[] {
  return LINKS.map(([name, program]) => {
    const link = join(resolve(prefix), name);
    const together = join(TOGETHER, basename(name));
    const target = existsSync(together) ? together : join(BIN, program);
    place(link, target);
    return `${link} -> ${target}`;
  });
}
