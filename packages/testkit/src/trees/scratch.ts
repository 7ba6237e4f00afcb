// Directories for one test, on the file system it asks for, gone when the test ends.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanUp, cleanUpAfterFile } from "../clean-up.js";
import { mountsBelow } from "../mounts/mount-table.js";

export interface ScratchOptions {
  /** "disk" (default) is wherever SLUICE_TEST_ROOT or the temporary directory lies. */
  on?: "disk" | "tmpfs" | "ext4-loop" | "coarse-loop" | "btrfs-loop";
  /** The size of the created file system; images are sparse. Default 256; btrfs wants at least 128. */
  sizeMb?: number;
}

/** "coarse-loop": an ext4 with inodes of 128 bytes, whose times are whole seconds. */
const MKFS = {
  "ext4-loop": ["mkfs.ext4", "-q", "-F"],
  "coarse-loop": ["mkfs.ext4", "-q", "-F", "-I", "128"],
  "btrfs-loop": ["mkfs.btrfs", "-q", "-f"],
} as const;
const DEFAULT_SIZE_MB = 256;

/** Unmounts everything below first: removing a directory must never empty another process' mount. */
function removeTree(path: string): void {
  for (const { mountpoint } of mountsBelow(path)) spawnSync("umount", ["-l", mountpoint]);
  const left = mountsBelow(path);
  if (left.length > 0)
    throw new Error(`scratch ${path} keeps its mounts (${left.map((entry) => entry.mountpoint).join(", ")}): unmount them by hand`);
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    // A tree deeper than one path can name: rm goes down step by step.
    if ((error as NodeJS.ErrnoException).code !== "ENAMETOOLONG") throw error;
    execFileSync("rm", ["-rf", "--", path]);
  }
}

function makeDirectory(undoBy: typeof cleanUp): string {
  const root = process.env["SLUICE_TEST_ROOT"] ?? join(tmpdir(), "sluice-scratch");
  mkdirSync(root, { recursive: true });
  // Short: a unix socket's path may have 107 bytes.
  const path = mkdtempSync(join(root, "s-"));
  // Other users must be able to walk in: tests run commands as them.
  chmodSync(path, 0o755);
  undoBy(() => removeTree(path));
  return path;
}

function mountImage(directory: string, on: keyof typeof MKFS, sizeMb: number): string {
  const [image, mountpoint] = [join(directory, "image"), join(directory, "mnt")];
  writeFileSync(image, "");
  truncateSync(image, sizeMb * 1024 * 1024);
  const [command, ...options] = MKFS[on];
  execFileSync(command, [...options, image], { stdio: ["ignore", "ignore", "pipe"] });
  mkdirSync(mountpoint);
  // mount(8) sets the loop device up to vanish with the mount.
  execFileSync("mount", ["-o", "loop", image, mountpoint], { stdio: ["ignore", "ignore", "pipe"] });
  chmodSync(mountpoint, 0o755);
  return mountpoint;
}

/**
 * An empty directory of mode 0755, removed when the test (or, outside a test, the file) ends, with every mount below it.
 * Anything but "disk" needs CAP_SYS_ADMIN, and "btrfs-loop" mkfs.btrfs: gate the test with `requires`.
 */
export function scratch({ on = "disk", sizeMb = DEFAULT_SIZE_MB }: ScratchOptions = {}): string {
  const directory = makeDirectory(cleanUp);
  if (on === "disk") return directory;
  if (on !== "tmpfs") return mountImage(directory, on, sizeMb);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMb}m,mode=755`, "sluice-scratch", directory]);
  return directory;
}

/** An empty directory of mode 0755 on the disk, removed when the test file ends, for something that several of its tests use. */
export function scratchOfFile(): string {
  return makeDirectory(cleanUpAfterFile);
}
