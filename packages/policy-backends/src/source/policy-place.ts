/**
 * Where a policy on disk lies at a given moment. A directory is swapped as a whole by what its names resolve to (a link
 * that is renamed over another, as a ConfigMap does it), so that no policy is made of the files of two versions.
 */
import { realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** In a directory. */
export const ENTRY = "policy.yaml";

export interface PolicyPlace {
  /** As the user wrote it. */
  readonly name: string;
  /** Directories beside those of the files that were read. */
  readonly directories: readonly string[];
  /** The file that the policy begins with, now. */
  locate(): string;
  /** Whether that has become another one since `locate` was called. Cheap. */
  moved(): boolean;
}

function resolved(entry: string): string {
  try {
    return realpathSync.native(entry);
  } catch {
    return entry; // reading it says why
  }
}

class DirectoryPlace implements PolicyPlace {
  readonly directories: readonly string[];
  private located: string | undefined;

  constructor(readonly name: string) {
    // The directory, and the one that a link to it stands in.
    this.directories = [name, dirname(name)];
  }

  locate(): string {
    this.located = resolved(join(this.name, ENTRY));
    return this.located;
  }

  moved(): boolean {
    return resolved(join(this.name, ENTRY)) !== this.located;
  }
}

function isDirectory(name: string): boolean {
  try {
    return statSync(name, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false; // reading it says why
  }
}

/** `name`: a policy file, or a directory with one. */
export function policyPlace(name: string): PolicyPlace {
  if (isDirectory(name)) return new DirectoryPlace(name);
  return { name, directories: [], locate: () => name, moved: () => false };
}
