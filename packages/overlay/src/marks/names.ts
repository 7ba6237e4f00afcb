/** Names of the marks that overlayfs keeps in extended attributes (Documentation/filesystems/overlayfs.rst). */
import type { AskedAttributes } from "../layer/system-calls.js";

export interface MarkNames {
  /** "trusted.overlay." or "user.overlay." */
  readonly prefix: string;
  /** The namespaces in which the mount looks for marks: `prefix`, and with `foreign` those that other overlays write. */
  readonly namespaces: readonly string[];
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
  /** Of files in the upper layer, and in all others. */
  readonly askedInUpper: AskedAttributes;
  readonly askedBelow: AskedAttributes;
}

const FOREIGN_NAMESPACES = ["trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."];
/** Follows the namespace in the name that a caller's own attribute is stored under (fs/overlayfs/xattrs.c). */
const ESCAPE = "overlay.";

function namespaceOf({ namespaces }: MarkNames, attribute: string): string | undefined {
  return namespaces.find((namespace) => attribute.startsWith(namespace));
}

/** Is it in a namespace of marks, as stored? One that a caller stored there is escaped, and none. */
export function isMark(names: MarkNames, stored: string): boolean {
  const namespace = namespaceOf(names, stored);
  return namespace !== undefined && !stored.startsWith(ESCAPE, namespace.length);
}

/** The name that a caller's attribute is stored under, so that the mount never takes it for a mark: in an overlay within this one it is one. */
export function storedName(names: MarkNames, attribute: string): string {
  const namespace = namespaceOf(names, attribute);
  return namespace === undefined ? attribute : namespace + ESCAPE + attribute.slice(namespace.length);
}

/** The name that callers see a stored attribute by; undefined for a mark. */
export function shownName(names: MarkNames, stored: string): string | undefined {
  const namespace = namespaceOf(names, stored);
  if (namespace === undefined) return stored;
  return stored.startsWith(ESCAPE, namespace.length) ? namespace + stored.slice(namespace.length + ESCAPE.length) : undefined;
}

/** A namespace alone, which is the name of nothing. */
export function isBareNamespace({ namespaces }: MarkNames, attribute: string): boolean {
  return namespaces.includes(attribute);
}

export function markNames(userXattr: boolean, foreign: boolean): MarkNames {
  const prefix = userXattr ? "user.overlay." : "trusted.overlay.";
  return {
    prefix,
    namespaces: foreign ? FOREIGN_NAMESPACES : [prefix],
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
    askedInUpper: { attribute: `${prefix}metacopy`, mark: `${prefix}protattr` },
    askedBelow: { attribute: `${prefix}metacopy`, mark: "" },
  };
}
