/**
 * Gives objects of a session the ids that their originals have. An ordinary user's own mount lies in a user namespace with one user and one
 * group: it copies and makes files with the user's primary group, and without entries of access control lists for others
 * (packages/overlay/src/layer/foreign-ids.ts). Outside of the namespace the user may set both: of copies, of renamed files, and of new objects in
 * directories that hand down their group (setgid) or a default list.
 */
import { type Hit, isDirectory, LayerStack, walkUppers } from "@sluice/layer-tools";
import { inDirectory, native } from "@sluice/native";
import { ACCESS_ACL, AT, Attr, DEFAULT_ACL, S } from "@sluice/vfs";
import type { Place } from "./apply/place.js";
import type { Difference } from "./difference.js";
import { hasForeignEntries, withForeignEntries } from "./foreign-acl.js";
import { reviewLayers } from "./review.js";

/** fchownat(2): this id stays. */
const SAME_ID = 0xffff_ffff;
const value = Buffer.alloc(65_536);

interface Owner {
  uid: number;
  gid: number;
}

const handsDown = ({ mode }: Attr): boolean => (mode & S.ISGID) !== 0;
const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** An access control list, of (descriptor, name). */
function readAcl(fd: number, name: string, attribute: string): Buffer | undefined {
  const length = native.getxattrat(fd, name, attribute, value);
  return length <= 0 ? undefined : Buffer.from(value.subarray(0, length));
}

/** The facts of an original, or of a directory that hands them down, as a new object gets them. */
interface Ids {
  gid: number | undefined;
  access: Buffer | undefined;
  default: Buffer | undefined;
}

class Originals {
  constructor(
    readonly stack: LayerStack,
    readonly own: Owner,
  ) {}

  of(original: Hit): Ids | undefined {
    const { uid, gid } = original.attr;
    if (uid !== this.own.uid) return undefined;
    if (original.listed?.some((name) => name === ACCESS_ACL) !== true && !isDirectory(original.attr)) return { gid, ...this.#noAcls };
    return this.stack.withObject(original, (fd) => ({ gid, access: readAcl(fd, "", ACCESS_ACL), default: readAcl(fd, "", DEFAULT_ACL) }));
  }

  readonly #noAcls = { access: undefined, default: undefined };

  areForeign({ gid, access, default: handed }: Ids): boolean {
    return (
      (gid !== undefined && gid !== this.own.gid) || [access, handed].some((acl) => acl !== undefined && hasForeignEntries(acl, this.own))
    );
  }
}

class Restoring {
  readonly #originals: Originals;
  readonly #root: Hit;
  readonly #byPath: ReadonlyMap<string, Difference>;

  constructor(originals: Originals, root: Hit, list: readonly Difference[]) {
    this.#originals = originals;
    this.#root = root;
    this.#byPath = new Map(list.map((one) => [one.path, one]));
  }

  /** Directories come before their entries. */
  restore(): void {
    const { own } = this.#originals;
    for (const difference of this.#byPath.values()) {
      const object = difference.after?.object;
      if (object?.layer !== 0 || object.attr.uid !== own.uid) continue;
      const ids = this.#idsFor(difference);
      if (ids !== undefined && this.#originals.areForeign(ids))
        inDirectory(this.#upper, object.path, (fd, name) => this.#give({ fd, name }, object, ids));
    }
  }

  #idsFor({ path, before, from }: Difference): Ids | undefined {
    const original = (from === undefined ? before : this.#byPath.get(from)?.before)?.object;
    return original === undefined ? this.#handedDown(parentOf(path)) : this.#originals.of(original);
  }

  /** A directory with a new object is in the upper layer, too, and has its ids by now. */
  #handedDown(path: string): Ids | undefined {
    if (path === "") return this.#asHandedDown(this.#root.attr, this.#originals.of(this.#root)?.default);
    const attr = new Attr();
    let handed: Buffer | undefined;
    const status = inDirectory(this.#upper, path, (fd, name) => {
      handed = readAcl(fd, name, DEFAULT_ACL);
      return native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words);
    });
    return status < 0 ? undefined : this.#asHandedDown(attr, handed);
  }

  #asHandedDown(directory: Attr, acl: Buffer | undefined): Ids {
    return { gid: handsDown(directory) ? directory.gid : undefined, access: acl, default: acl };
  }

  get #upper(): number {
    return this.#originals.stack.tree({ layer: 0, path: "" }).fd;
  }

  /** A group that the user is no member of cannot be given: the object is theirs then, and the review shows it. */
  #give({ fd, name }: { fd: number; name: string }, { attr }: Hit, { gid, access, default: handed }: Ids): number {
    const { own } = this.#originals;
    if (gid !== undefined && gid !== own.gid && attr.gid === own.gid) native.fchownat(fd, name, SAME_ID, gid, AT.SYMLINK_NOFOLLOW);
    if ((attr.mode & S.IFMT) === S.IFLNK) return 0;
    for (const [attribute, original] of [[ACCESS_ACL, access] as const, [DEFAULT_ACL, handed] as const]) {
      const acl = original === undefined ? undefined : readAcl(fd, name, attribute);
      const whole = acl === undefined || original === undefined ? undefined : withForeignEntries(acl, original, own);
      if (whole !== undefined) native.setxattrat(fd, name, attribute, whole, 0);
    }
    // The kernel takes setuid and setgid from a file that gets another group.
    if ((attr.mode & (S.ISUID | S.ISGID)) !== 0) native.fchmodat(fd, name, attr.mode & 0o7777, AT.SYMLINK_NOFOLLOW);
    return 0;
  }
}

/** A look at the attributes alone, which most sessions end with: they have no such ids. */
function hasForeignIds(originals: Originals, root: Hit): boolean {
  const isForeign = (hit: Hit): boolean => {
    const ids = originals.of(hit);
    return ids !== undefined && originals.areForeign(ids);
  };
  if (isForeign(root)) return true;
  for (const { before } of walkUppers(originals.stack)) if (before !== undefined && isForeign(before)) return true;
  return false;
}

/** The session is locked, and no mount uses its layers. @throws CliError if a layer cannot be read */
export function restoreOriginalIds({
  upper,
  frozen = [],
  base,
  snapshot = base,
}: Pick<Place, "upper" | "frozen" | "base" | "snapshot">): void {
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const stack = new LayerStack([upper, ...frozen, snapshot], { uppers: 1 + frozen.length });
  const root = stack.rootOf({ layer: stack.uppers, path: "" });
  const originals = new Originals(stack, own);
  if (hasForeignIds(originals, root)) new Restoring(originals, root, reviewLayers(stack).list).restore();
}
