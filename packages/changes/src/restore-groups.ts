/**
 * Gives objects of a session the groups that their originals have. An ordinary user's own mount lies in a user namespace without ids for the
 * user's further groups: it shows all files of the user with their primary group, and copies and makes them so
 * (packages/overlay/src/layer/foreign-group.ts). Outside the namespace the user may set the groups: of copies, of renamed files, and of new
 * objects in directories that hand their group down (setgid).
 */
import { type Hit, isDirectory, LayerStack, walkUppers } from "@sluice/layer-tools";
import { inDirectory, native } from "@sluice/native";
import { AT, Attr, S } from "@sluice/vfs";
import type { Place } from "./apply/place.js";
import type { Difference } from "./difference.js";
import { reviewLayers } from "./review.js";

/** fchownat(2): this id stays. */
const SAME_ID = 0xffff_ffff;

interface Owner {
  uid: number;
  gid: number;
}

const handsDown = ({ mode }: Attr): boolean => (mode & S.ISGID) !== 0;
const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** A look at the attributes alone, which most sessions end with: they have no such group. */
function hasForeignGroups(stack: LayerStack, root: Attr, own: Owner): boolean {
  if (handsDown(root) && root.gid !== own.gid) return true;
  for (const { before } of walkUppers(stack))
    if (before !== undefined && before.attr.uid === own.uid && before.attr.gid !== own.gid) return true;
  return false;
}

class Groups {
  readonly #stack: LayerStack;
  readonly #root: Attr;
  readonly #own: Owner;
  readonly #byPath: ReadonlyMap<string, Difference>;

  constructor(stack: LayerStack, { root, own, list }: { root: Attr; own: Owner; list: readonly Difference[] }) {
    this.#stack = stack;
    this.#root = root;
    this.#own = own;
    this.#byPath = new Map(list.map((one) => [one.path, one]));
  }

  /** Directories come before their entries. */
  restore(): void {
    for (const difference of this.#byPath.values()) {
      const object = difference.after?.object;
      if (object === undefined || !this.#isUpper(object) || object.attr.gid !== this.#own.gid) continue;
      const gid = this.#groupOf(difference);
      if (gid !== undefined && gid !== this.#own.gid) this.#give(object, gid);
    }
  }

  #isUpper(object: Hit): boolean {
    return object.layer === 0 && object.attr.uid === this.#own.uid;
  }

  #groupOf({ path, before, from }: Difference): number | undefined {
    const original = (from === undefined ? before : this.#byPath.get(from)?.before)?.object.attr;
    if (original !== undefined) return original.uid === this.#own.uid ? original.gid : undefined;
    const parent = this.#parent(parentOf(path));
    return parent !== undefined && handsDown(parent) ? parent.gid : undefined;
  }

  /** Of a new object it is in the upper layer, too, and has its group by now. */
  #parent(path: string): Attr | undefined {
    if (path === "") return this.#root;
    const attr = new Attr();
    const look = (fd: number, name: string): number => native.statx(fd, name, AT.SYMLINK_NOFOLLOW, attr.words);
    return inDirectory(this.#upper, path, look) < 0 ? undefined : attr;
  }

  get #upper(): number {
    return this.#stack.tree({ layer: 0, path: "" }).fd;
  }

  /** A group that the user is no member of cannot be given: the object is theirs then, and the review shows it. */
  #give({ path, attr }: Hit, gid: number): void {
    inDirectory(this.#upper, path, (fd, name) => {
      const status = native.fchownat(fd, name, SAME_ID, gid, AT.SYMLINK_NOFOLLOW);
      // The kernel takes setuid and setgid from a file that gets another group.
      const special = attr.mode & (S.ISUID | S.ISGID);
      return status < 0 || special === 0 || isDirectory(attr) ? status : native.fchmodat(fd, name, attr.mode & 0o7777, AT.SYMLINK_NOFOLLOW);
    });
  }
}

/** The session is locked, and no mount uses its layers. @throws CliError if a layer cannot be read */
export function restoreGroups({ upper, frozen = [], base, snapshot = base }: Pick<Place, "upper" | "frozen" | "base" | "snapshot">): void {
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const stack = new LayerStack([upper, ...frozen, snapshot], { uppers: 1 + frozen.length });
  const root = stack.rootOf({ layer: stack.uppers, path: "" }).attr;
  if (!hasForeignGroups(stack, root, own)) return;
  new Groups(stack, { root, own, list: reviewLayers(stack).list }).restore();
}
