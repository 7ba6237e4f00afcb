/**
 * Checks an upper layer over its lower layers: meaningless marks, marks that lead nowhere, and copies without data. It reports each problem
 * with a way to mend it, and changes nothing.
 */
import { native, openBeneath } from "@sluice/native";
import { escapeName } from "@sluice/runtime/cli";
import { AT, Attr, Errno, O } from "@sluice/vfs";
import { join } from "./tree.js";
import { type Hit, isDirectory, isMalformed, isRegular, type LayerStack, type LayerPath } from "./layer-stack.js";

export type Mend =
  | { do: "remove-mark"; mark: string }
  | { do: "set-mark"; mark: string; value: string }
  | { do: "remove" }
  | { do: "whiteout"; at: string };

export interface Problem {
  /** Relative to the upper layer, or to the work directory. */
  path: string;
  in: "upper" | "work";
  what: string;
  /** The merged tree is wrong, or an object cannot be read; otherwise the layer is only untidy. */
  damage: boolean;
  /** Undefined: only a person can mend it. */
  mend: Mend | undefined;
}

const KNOWN = new Set(["opaque", "redirect", "origin", "impure", "nlink", "upper", "metacopy", "uuid", "protattr", "whiteout", "overlay"]);
const quoted = (value: string | undefined): string => `"${escapeName(value ?? "")}"`;
const ORIGIN_HEADER = 21;
const ORIGIN_MAGIC = 0xfb;
const METACOPY_LEAST = 4;
const list = Buffer.alloc(65_536);
const lower = new Attr();

export class UpperCheck {
  readonly #stack: LayerStack;
  readonly #prefix: string;
  /** The target of a redirect → the first directory that has it. */
  readonly #redirected = new Map<string, string>();
  readonly #problems: Problem[] = [];
  /** Directories to check, with the lower directories that they merge with. A list, not recursion: the owner chooses the depth of a tree. */
  readonly #left: (readonly [upper: LayerPath, below: readonly LayerPath[]])[] = [];

  constructor(stack: LayerStack) {
    this.#stack = stack;
    this.#prefix = stack.tree({ layer: 0, path: "" }).prefix;
  }

  run(): Problem[] {
    const [upper, ...below] = this.#stack.roots();
    this.#left.push([upper as LayerPath, below]);
    for (let next = this.#left.pop(); next !== undefined; next = this.#left.pop()) this.#directory(...next);
    return this.#problems;
  }

  #found(path: string, what: string, damage: boolean, mend?: Mend): void {
    this.#problems.push({ path, in: "upper", what, damage, mend });
  }

  #directory(upper: LayerPath, below: readonly LayerPath[]): void {
    let impure = false;
    for (const name of this.#stack.names([upper])) {
      const path = join(upper.path, name);
      const hit = this.#stack.look(upper, name);
      if (hit === "whiteout") this.#whiteout(path, name, below);
      else if (hit !== undefined) impure = this.#object(hit, this.#stack.resolve([upper, ...below], name)) || impure;
    }
    if (!impure || this.#stack.rawMark(upper, "impure") !== undefined) return;
    const what = "it holds what was copied up or renamed, and is not marked impure: readdir may give other inode numbers than stat";
    this.#found(upper.path, what, false, { do: "set-mark", mark: "impure", value: "y" });
  }

  #whiteout(path: string, name: string, below: readonly LayerPath[]): void {
    if (this.#stack.resolve(below, name).length > 0) return;
    this.#found(path, "a whiteout that hides nothing", false, { do: "remove" });
  }

  /** @returns true if its directory must be marked impure */
  #object(hit: Hit, hits: readonly Hit[]): boolean {
    const marks = this.#marks(hit);
    for (const mark of marks) {
      if (!KNOWN.has(mark.split(".")[0] as string))
        this.#found(hit.path, `a mark that no overlayfs known here has: ${escapeName(this.#prefix + mark)}`, false);
    }
    const links = marks.has("origin") ? this.#origin(hit) : 0;
    // Without the index, a copy of one name of several shows a number of its own, and the mount takes the directory's mark away.
    const origin = links === 1 || (links > 1 && marks.has("nlink"));
    if (marks.has("nlink")) this.#nlink(hit);
    if (isRegular(hit.attr)) this.#file(hit, hits);
    if (!isDirectory(hit.attr)) return origin;
    const redirected = marks.has("redirect") && this.#redirect(hit, hits);
    if (marks.has("opaque")) this.#opaque(hit);
    this.#left.push([hit, hits.slice(1)]);
    return origin || redirected;
  }

  #marks(hit: Hit): Set<string> {
    return this.#stack.withObject(hit, (fd) => {
      const length = Math.max(0, native.listxattrat(fd, "", list));
      const names = list.toString("latin1", 0, length).split("\0");
      return new Set(names.filter((name) => name.startsWith(this.#prefix)).map((name) => name.slice(this.#prefix.length)));
    });
  }

  #opaque(hit: Hit): void {
    const value = this.#stack.mark(hit, "opaque");
    if (value === "y" || value === "x") return;
    this.#found(hit.path, `an opaque mark that says ${quoted(value)}, and hides nothing`, false, {
      do: "remove-mark",
      mark: "opaque",
    });
  }

  #redirect(hit: Hit, hits: readonly Hit[]): boolean {
    const value = this.#stack.mark(hit, "redirect") as string;
    if (isMalformed(value)) {
      this.#found(hit.path, `a redirect that is malformed: ${quoted(value)}`, true, { do: "remove-mark", mark: "redirect" });
      return false;
    }
    const [, target] = hits;
    if (target === undefined) {
      const what = `its redirect leads nowhere: ${escapeName(value)}; its content from below is missing`;
      this.#found(hit.path, what, true, { do: "remove-mark", mark: "redirect" });
      return false;
    }
    const key = `${target.layer} ${target.path}`;
    const before = this.#redirected.get(key);
    if (before === undefined) this.#redirected.set(key, hit.path);
    else this.#found(hit.path, `it and ${escapeName(before)} are redirected to one place: one of the two is a copy`, true);
    this.#seenTwice(hit, target, value);
    return true;
  }

  /** The old path of a renamed directory must be hidden. */
  #seenTwice(hit: Hit, target: Hit, redirect: string): void {
    const slash = hit.path.lastIndexOf("/");
    const at = redirect.startsWith("/") ? redirect.slice(1) : join(slash < 0 ? "" : hit.path.slice(0, slash), redirect);
    const parts = at.split("/");
    const name = parts.pop() as string;
    let parents: LayerPath[] = this.#stack.roots();
    for (const part of parts) parents = this.#stack.resolve(parents, part).filter(({ attr }) => isDirectory(attr));
    const [top] = this.#stack.resolve(parents, name);
    if (top === undefined || top.layer !== target.layer || top.path !== target.path) return;
    const what = `it was renamed from ${escapeName(at)}, which still shows what it had`;
    this.#found(hit.path, what, true, parents[0]?.layer === 0 ? { do: "whiteout", at: join(parents[0].path, name) } : undefined);
  }

  #file(hit: Hit, hits: readonly Hit[]): void {
    if (!hit.metacopy) return;
    const { length } = this.#stack.rawMark(hit, "metacopy") as Buffer;
    if (length > 0 && length < METACOPY_LEAST) this.#found(hit.path, "a mark of a metadata-only copy that is cut off", true);
    else if (!hits.some(({ metacopy }) => !metacopy)) this.#found(hit.path, "a metadata-only copy whose data lies in no layer", true);
  }

  /** @returns the number of names of the object's origin; 0 if it has no valid one */
  #origin(hit: Hit): number {
    const bytes = this.#stack.rawMark(hit, "origin") as Buffer;
    // Empty: copied up on a file system without file handles.
    if (bytes.length === 0) return 1;
    const mend: Mend = { do: "remove-mark", mark: "origin" };
    if (bytes.length <= ORIGIN_HEADER || bytes[1] !== ORIGIN_MAGIC || bytes[2] !== bytes.length) {
      this.#found(hit.path, "an origin mark that is malformed", false, mend);
      return 0;
    }
    const links = this.#linksOf(bytes);
    if (links > 0) return isDirectory(hit.attr) ? 1 : links;
    this.#found(hit.path, "its origin lies in none of the lower layers: its inode number is another one than before", false, mend);
    return 0;
  }

  /** 0 if no lower layer has the object; 1 if that cannot be known. */
  #linksOf(origin: Buffer): number {
    for (const place of this.#stack.roots(1)) {
      const root = openBeneath(this.#stack.tree(place).fd, ".", O.RDONLY | O.DIRECTORY, 0);
      if (root < 0) continue;
      const fd = native.openByHandleAt(root, origin[4] as number, origin.subarray(ORIGIN_HEADER), O.PATH | O.NOFOLLOW | O.CLOEXEC);
      native.close(root);
      if (fd === -Errno.EPERM || fd === -Errno.EOPNOTSUPP) return 1;
      if (fd < 0) continue;
      const known = native.statx(fd, "", AT.EMPTY_PATH, lower.words) >= 0;
      native.close(fd);
      return known ? lower.nlink : 1;
    }
    return 0;
  }

  #nlink(hit: Hit): void {
    const value = this.#stack.mark(hit, "nlink") as string;
    if (/^[UL][+-]\d+$/.test(value)) return;
    this.#found(hit.path, `a count of links that is malformed: ${quoted(value)}`, true, { do: "remove-mark", mark: "nlink" });
  }
}
