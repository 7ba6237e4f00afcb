/** Looks whether this machine can carry the demo, before anything is made. Every lack is one line that says the remedy. */
import { accessSync, closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { native } from "@sluice/native";
import { DemoError } from "./demo-error.js";
import { CLI, MIB, NEEDED_BYTES } from "./demo-paths.js";

const CAP_SYS_ADMIN = 21n;
const OVERLAYFS_MAGIC = 0x794c7630;
const FUSE_MAGIC = 0x65735546;
const AT_FDCWD = -100;

const lack = (message: string): DemoError => new DemoError(3, message);

function requirePrivilege(): void {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  if (((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 0n)
    throw lack("privilege: mounting and kernel passthrough need CAP_SYS_ADMIN: run it as root, for example with sudo npm start");
}

function requireFuse(): void {
  try {
    closeSync(openSync("/dev/fuse", constants.O_RDWR));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new DemoError(3, `/dev/fuse: cannot open it (${code}): load it with modprobe fuse, or give the container --device /dev/fuse`, {
      cause,
    });
  }
}

export function isOnPath(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function requirePrograms(): void {
  if (!isOnPath("grep")) throw lack("grep: not installed: apt-get install grep");
  if (!existsSync(CLI)) throw lack(`${CLI}: not there: run npm ci`);
}

/** The scratch must carry an upper layer: a disk's file system with space and trusted.* attributes. */
function requireScratch(directory: string): void {
  if (!existsSync(directory)) throw lack(`${directory}: no such directory (ENOENT): name one that exists with --scratch DIR`);
  const fileSystem = statfsSync(directory);
  if (fileSystem.type === OVERLAYFS_MAGIC || fileSystem.type === FUSE_MAGIC)
    throw lack(
      `${directory}: lies on ${fileSystem.type === FUSE_MAGIC ? "a FUSE mount" : "overlayfs"}: name a directory on a disk with --scratch DIR`,
    );
  const freeBytes = fileSystem.bavail * fileSystem.bsize;
  if (freeBytes < NEEDED_BYTES)
    throw lack(
      `${directory}: ${Math.floor(freeBytes / MIB)} MiB free, ${NEEDED_BYTES / MIB} MiB needed (ENOSPC): make room or name another place with --scratch DIR`,
    );
}

function requireTrustedXattrs(scratch: string): void {
  const status = native.setxattrat(AT_FDCWD, Buffer.from(scratch).toString("latin1"), "trusted.sluice.probe", Buffer.from("1"), 0);
  if (status < 0)
    throw lack(`${scratch}: its file system takes no trusted.* attributes (errno ${-status}): name another place with --scratch DIR`);
  native.removexattrat(AT_FDCWD, Buffer.from(scratch).toString("latin1"), "trusted.sluice.probe");
}

/** Checks everything and makes the scratch directory, whose path it returns. Throws DemoError 3. */
export function preflight(scratchBase: string | undefined): string {
  requirePrivilege();
  requireFuse();
  requirePrograms();
  const base = resolve(scratchBase ?? tmpdir());
  requireScratch(base);
  const scratch = mkdtempSync(join(base, "sluice-demo-"));
  try {
    requireTrustedXattrs(scratch);
  } catch (error) {
    rmSync(scratch, { recursive: true });
    throw error;
  }
  return scratch;
}
