/** The resource of a question: the overlay's intent as a policy sees it. */
import { bytesOfText, type FileKind, type MissingFact, type Resource } from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import { errnoName, S } from "@sluice/vfs";

const kinds: ReadonlyMap<number, FileKind> = new Map([
  [S.IFREG, "regular"],
  [S.IFDIR, "directory"],
  [S.IFLNK, "symlink"],
  [S.IFCHR, "character-device"],
  [S.IFBLK, "block-device"],
  [S.IFIFO, "fifo"],
  [S.IFSOCK, "socket"],
]);

export function kindOf(mode: number): FileKind {
  return kinds.get(mode & S.IFMT) ?? "regular";
}

/** The mount as policies see it. */
export interface MountFacts {
  mount: string;
  labels?: Readonly<Record<string, string>> | undefined;
}

/** Attributes that cannot be read are added to `missing`; absent ones are left out. content-facts.ts reads the content. */
export function readResource({ mount, labels }: MountFacts, intent: Intent, xattrs: readonly string[], missing: MissingFact[]): Resource {
  const values = new Map<string, Uint8Array>();
  for (const name of xattrs) {
    const value = intent.readXattr(bytesOfText(name));
    if (typeof value === "number") missing.push({ name: `resource.xattr.${name}`, reason: `it cannot be read (${errnoName(-value)})` });
    // The overlay may reuse its buffer while the question waits.
    else if (value !== undefined) values.set(name, value.slice());
  }
  const { attr } = intent;
  return {
    mount,
    paths: intent.paths.slice(),
    layer: intent.layer,
    kind: kindOf(attr.mode),
    sizeBytes: attr.sizeExact,
    mode: attr.mode,
    uid: attr.uid,
    gid: attr.gid,
    xattrs: values,
    labels,
  };
}
