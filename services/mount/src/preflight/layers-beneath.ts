/**
 * Looks at layers beneath a directory below which somebody else may rename directories and put links in their place (`--layers-beneath`).
 * Each layer is opened once, beneath that directory and without following a link. Every check is one of the opened directory, so no other
 * object is asked: a path could lead into a mount of this very process, which would wait for itself.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { identityOf, isClaimedDirectory } from "@sluice/keeper-link";
import type { MountRow } from "@sluice/mount-control";
import { native, openDirectoryBeneath, toBytes } from "@sluice/native";
import { codeOf, unfit } from "@sluice/runtime/cli";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import type { LocatedDirectory, OpenedDirectory } from "./located-directory.js";

/** For the calls of node:fs, which take no descriptor of a directory. The kernel follows this link to the object itself. */
export function pathOfOpen(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

const problems: Readonly<Record<number, [problem: string, remedy: string]>> = {
  [Errno.ENOENT]: ["there is no such directory (ENOENT)", "create it or correct the name"],
  [Errno.ENOTDIR]: ["it is not a directory (ENOTDIR)", "name a directory"],
  [Errno.ELOOP]: ["a symbolic link lies on its path (ELOOP)", "name a directory that is reached without links: none is followed there"],
  [Errno.EAGAIN]: ["directories on its path are being renamed (EAGAIN)", "try again"],
};

/** Opens the layers beneath one directory, and closes them all after the checks. */
export class LayersBeneath {
  readonly #given: string;
  /** The directory without symbolic links. */
  readonly root: string;
  readonly #rootFd: number;
  readonly #opened: number[] = [];
  readonly identities: Record<string, string> = {};

  /** @throws CliError */
  constructor(directory: string) {
    this.#given = directory;
    try {
      this.root = realpathSync.native(directory);
    } catch (error) {
      throw unfit(directory, `the directory above the layers cannot be reached (${codeOf(error)})`, "create it or correct the name");
    }
    this.#rootFd = native.openat(AT.FDCWD, toBytes(this.root), O.PATH | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0);
    if (this.#rootFd < 0)
      throw unfit(directory, `the directory above the layers cannot be opened (${errnoName(-this.#rootFd)})`, "name a directory");
    this.#opened.push(this.#rootFd);
  }

  /** `given` lies beneath the directory, by its text. @throws CliError */
  locate(given: string, role: string, table: readonly MountRow[]): LocatedDirectory {
    const below = relative(this.#given, given);
    const fd = openDirectoryBeneath(this.#rootFd, below === "" ? "." : toBytes(below), O.PATH);
    if (fd >= 0) this.#opened.push(fd);
    const identity = fd < 0 ? undefined : identityOf(fd);
    if (identity === undefined) {
      const errno = fd < 0 ? -fd : Errno.EIO;
      const [problem, remedy] = problems[errno] ?? [`it cannot be opened (${errnoName(errno)})`, "name a directory that can be read"];
      throw unfit(given, `${role}: ${problem}`, remedy);
    }
    const real = join(this.root, below);
    this.identities[real] = identity;
    const { dev, ino } = statSync(pathOfOpen(fd), { bigint: true });
    const id = mountIdOf(fd);
    const mount = table.find(({ mountId }) => mountId === id);
    return { given, real, key: `${dev}:${ino}`, dev, mount, opened: { fd, above: this.#above(fd, real) } };
  }

  close(): void {
    for (const fd of this.#opened.splice(0)) native.close(fd);
  }

  /** By "..", which no link can stand for. Names are for messages alone. */
  #above(fd: number, real: string): OpenedDirectory["above"] {
    const above: OpenedDirectory["above"][number][] = [];
    let at = native.dupfd(fd);
    for (let path = dirname(real); at >= 0; path = dirname(path)) {
      const next = native.openat(at, "..", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
      native.close(at);
      at = next;
      if (at < 0) break;
      const { dev, ino } = statSync(pathOfOpen(at), { bigint: true });
      const key = `${dev}:${ino}`;
      // The root is its own parent.
      if (path === "/" && above.at(-1)?.key === key) break;
      above.push({ key, dev, path, isClaimed: isClaimedDirectory(at) });
    }
    if (at >= 0) native.close(at);
    return above;
  }
}

function mountIdOf(fd: number): number {
  return Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? NaN);
}
