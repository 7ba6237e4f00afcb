/**
 * The location of a policy on disk at a given moment. A directory is swapped as a whole: its names resolve through a link
 * that is renamed over another, as a ConfigMap does it. So no policy is made of the files of two versions.
 */
import { dirname, join } from "node:path";
import { OWN_DISK, type PolicyDisk } from "../document/policy-disk.js";

/** In a directory. */
export const ENTRY = "policy.yaml";

export interface PolicyLocation {
  /** As the user wrote it. */
  readonly name: string;
  /** Directories beside those of the files that were read. */
  readonly directories: readonly string[];
  /** The file that the policy begins with, now. */
  locate(): string;
  /** Whether that has become another one since `locate` was called. Cheap. */
  moved(): boolean;
}

function resolved(entry: string, disk: PolicyDisk): string {
  try {
    return disk.resolve(entry);
  } catch {
    return entry; // reading it says why
  }
}

class DirectoryLocation implements PolicyLocation {
  readonly directories: readonly string[];
  private located: string | undefined;

  constructor(
    readonly name: string,
    private readonly disk: PolicyDisk,
  ) {
    // The directory, and the one that a link to it stands in.
    this.directories = [name, dirname(name)];
  }

  locate(): string {
    this.located = resolved(join(this.name, ENTRY), this.disk);
    return this.located;
  }

  moved(): boolean {
    return resolved(join(this.name, ENTRY), this.disk) !== this.located;
  }
}

/** `name`: a policy file, or a directory with one. */
export function policyLocation(name: string, disk: PolicyDisk = OWN_DISK): PolicyLocation {
  if (disk.stat(name)?.isDirectory() === true) return new DirectoryLocation(name, disk);
  return { name, directories: [], locate: () => name, moved: () => false };
}
