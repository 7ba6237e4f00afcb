/** Installs the commands for mount(8), umount(8) and podman, as symbolic links to this checkout or to this unpacked archive. */
import { existsSync, lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CliError, EXIT, codeOf, failed, makeDirectories } from "@sluice/runtime/cli";

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

interface Link {
  link: string;
  target: string;
}

/** @throws CliError if something else is there */
function check({ link }: Link): void {
  const there = lstatSync(link, { throwIfNoEntry: false });
  if (there === undefined || (there.isSymbolicLink() && OURS.test(readlinkSync(link)))) return;
  throw new CliError({
    object: link,
    problem: "there is something that this command did not put there",
    errno: "EEXIST",
    remedy: "move it away",
    exitCode: EXIT.UNFIT,
  });
}

/** A caller finds the old link or the new one at any moment. */
function place({ link, target }: Link): void {
  makeDirectories(dirname(link));
  const next = `${link}.sluice-next`;
  rmSync(next, { force: true });
  symlinkSync(target, next);
  renameSync(next, link);
}

function each(links: readonly Link[], act: (link: Link) => void): void {
  for (const one of links) {
    try {
      act(one);
    } catch (error) {
      if (error instanceof CliError) throw error;
      throw failed(one.link, `the link cannot be made (${codeOf(error)})`, "run as root, or name another directory: --install-helpers=DIR");
    }
  }
}

/** @param prefix "/", or a directory for a trial. @returns lines that report the changes. @throws CliError: nothing was changed if something is in the way */
export function installLinks(prefix: string): string[] {
  const links = LINKS.map(([name, program]) => {
    const together = join(TOGETHER, basename(name));
    return { link: join(resolve(prefix), name), target: existsSync(together) ? together : join(BIN, program) };
  });
  each(links, check);
  each(links, place);
  return links.map(({ link, target }) => `${link} -> ${target}`);
}
