/**
 * Reads the files of a policy, and remembers their names and content: the policy's digest is computed from it, and a
 * change of one is a change of the policy. A file is measured before it is read: nothing too large is loaded.
 */
import { dirname, resolve } from "node:path";
import { type FileStats, OWN_DISK, type PolicyDisk } from "./policy-disk.js";
import { type PolicyFiles, sha256, tooLarge, UnreadableFile } from "./policy-files.js";

/** A file that was written this shortly before it was read could be written again with the same times: it is not stable yet. */
const STABLE_MS = 200;
/** On a file system that keeps times in whole seconds, or in pairs of them. */
const COARSE_STABLE_MS = 2_000;

/** No file of a policy is larger. */
export const MAX_POLICY_BYTES = 16 * 1024 * 1024;

/** By errno. */
const PROBLEMS: Readonly<Record<string, readonly [problem: string, remedy: string]>> = {
  ENOENT: ["the file does not exist (ENOENT)", "correct the name"],
  EACCES: ["policy cannot be read (EACCES)", "make it readable to the user who controls it (docs/policy-backends.md)"],
  EINVAL: ["it is no regular file, but a pipe, a socket or a device (EINVAL)", "put a regular file in its place"],
  EISDIR: ["it is a directory (EISDIR)", "put the file in its place, or name the file in it"],
};

interface SeenFile {
  stats: FileStats | undefined;
  /** The reason for which there are none, if the disk tells. */
  problem: string | undefined;
  stable: boolean;
  /** undefined: it could not be read. */
  digest: string | undefined;
}

function isStable(stats: FileStats | undefined): boolean {
  if (stats === undefined) return true;
  return Date.now() - stats.ctimeMs > (stats.ctimeMs % 1_000 === 0 ? COARSE_STABLE_MS : STABLE_MS);
}

/** Numbers hold times to a quarter of a microsecond, which is enough for a stable file: a change of it is later by far. */
function sameFile(a: FileStats | undefined, b: FileStats | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;
}

function digestOf(disk: PolicyDisk, path: string, stats: FileStats | undefined): string | undefined {
  if (stats === undefined || stats.size > MAX_POLICY_BYTES) return undefined;
  try {
    return sha256(disk.read(path));
  } catch {
    return undefined;
  }
}

export class FileReader implements PolicyFiles {
  readonly #seen = new Map<string, SeenFile>();
  readonly #digests: string[] = [];
  readonly #disk: PolicyDisk;

  constructor(disk: PolicyDisk = OWN_DISK) {
    this.#disk = disk;
  }

  /** Throws `UnreadableFile`. */
  read(file: string, maxBytes: number): Buffer {
    const path = resolve(file);
    const stats = this.#disk.stat(path);
    const seen: SeenFile = { stats, problem: this.#disk.problem(path), stable: isStable(stats), digest: undefined };
    this.#seen.set(path, seen);
    if (stats !== undefined && stats.size > maxBytes) throw tooLarge(maxBytes);
    let bytes: Buffer;
    try {
      bytes = this.#disk.read(path);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
      const [problem, remedy] = PROBLEMS[code] ?? [`policy cannot be read (${code})`, "check that it is readable"];
      throw new UnreadableFile(problem, remedy, { cause });
    }
    if (bytes.length > maxBytes) throw tooLarge(maxBytes);
    seen.digest = sha256(bytes);
    this.#digests.push(seen.digest);
    return bytes;
  }

  /** Of one file its own digest; of several that of their digests, in the order they were read. */
  digest(): string {
    const [only] = this.#digests;
    return this.#digests.length === 1 && only !== undefined ? only : sha256(this.#digests.join("\n"));
  }

  /** Whether a file holds something else than was read of it. One stat each, microseconds, if all files are stable. */
  changed(): boolean {
    for (const [path, seen] of this.#seen) {
      const stats = this.#disk.stat(path);
      if (this.#disk.problem(path) !== seen.problem) return true;
      if (seen.stable && sameFile(seen.stats, stats)) continue;
      if (seen.digest === undefined ? !sameFile(seen.stats, stats) : seen.digest !== digestOf(this.#disk, path, stats)) return true;
      seen.stats = stats;
      seen.stable = isStable(stats);
    }
    return false;
  }

  directories(): readonly string[] {
    return [...new Set([...this.#seen.keys()].map(dirname))];
  }
}
