/** Names of the marks that overlayfs keeps in extended attributes (Documentation/filesystems/overlayfs.rst). */

export interface MarkNames {
  /** "trusted.overlay." or "user.overlay." */
  readonly prefix: string;
  /** What callers' own attributes of that name are kept under: prefix + "overlay.". */
  readonly escaped: string;
  /** Marks of fuse-overlayfs and OCI layers count, too: see foreign-marks.ts. */
  readonly foreign: boolean;
  readonly opaque: string;
  readonly redirect: string;
  readonly metacopy: string;
  readonly origin: string;
  readonly impure: string;
  readonly whiteout: string;
  readonly nlink: string;
  readonly upper: string;
  readonly protattr: string;
}

export function markNames(userXattr: boolean, foreign: boolean): MarkNames {
  const prefix = userXattr ? "user.overlay." : "trusted.overlay.";
  return {
    prefix,
    escaped: `${prefix}overlay.`,
    foreign,
    opaque: `${prefix}opaque`,
    redirect: `${prefix}redirect`,
    metacopy: `${prefix}metacopy`,
    origin: `${prefix}origin`,
    impure: `${prefix}impure`,
    whiteout: `${prefix}whiteout`,
    nlink: `${prefix}nlink`,
    upper: `${prefix}upper`,
    protattr: `${prefix}protattr`,
  };
}
