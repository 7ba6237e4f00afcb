/**
 * Resolves names in a stack of layers, top first, by overlayfs' rules: whiteouts, opaque directories, redirects and metadata-only copies. It
 * writes nothing and follows no link.
 */
import { native, openBeneath, StatWord } from "@sluice/native";
import { AT, Attr, Errno, errnoName, O, S } from "@sluice/vfs";
import { failed } from "@sluice/runtime/cli";
import { isCovered, isWhiteoutAt, join, lookUp, lookUpAll, namesIn, remedyFor, shownIn, type Tree } from "./tree.js";

/** A path in one layer. */
export interface LayerPath {
  /** Index into the stack. */
  layer: number;
  path: string;
}

/** One object of one layer. */
export interface Hit extends LayerPath {
  attr: Attr;
  opaque: boolean;
  /** For regular files: the data is in a lower layer. */
  metacopy: boolean;
  /** The names of its extended attributes, overlayfs' marks among them; undefined if nobody listed them. */
  listed?: readonly string[] | undefined;
}

/** The objects of a directory's names, as a layer has them. */
export type Looked = ReadonlyMap<string, Hit | "whiteout">;

const MAX_MARK_BYTES = 8192;
const MAX_LIST_BYTES = 65_536;
const mark = Buffer.alloc(MAX_MARK_BYTES);
const list = Buffer.alloc(MAX_LIST_BYTES);
const NO_NAMES: readonly string[] = [];

/** Undefined if they cannot be listed. */
function listAttributes(directoryFd: number, name: string): readonly string[] | undefined {
  const length = native.listxattrat(directoryFd, name, list);
  if (length === 0 || length === -Errno.EOPNOTSUPP) return NO_NAMES;
  return length < 0 ? undefined : list.toString("latin1", 0, length - 1).split("\0");
}

export const isDirectory = (attr: Attr): boolean => (attr.mode & S.IFMT) === S.IFDIR;
export const isRegular = (attr: Attr): boolean => (attr.mode & S.IFMT) === S.IFREG;

/** Overlayfs takes an absolute path or a single name, without empty parts; no part may lead upwards. */
export function isMalformed(redirect: string): boolean {
  const parts = (redirect.startsWith("/") ? redirect.slice(1) : redirect).split("/");
  return parts.some((part) => part === "" || part === "." || part === "..") || (!redirect.startsWith("/") && parts.length > 1);
}

export class LayerStack {
  readonly trees: readonly Tree[];
  /** The number of layers that merge. The others are only searched for the data of metadata-only copies. */
  readonly #merging: number;

  /** The number of upper layers, which are the topmost ones: more than one if a session was forked. */
  readonly uppers: number;

  /** The upper layers first, if there are any. */
  constructor(merging: readonly Tree[], { dataOnly = [], uppers = 1 }: { dataOnly?: readonly Tree[]; uppers?: number } = {}) {
    this.trees = [...merging, ...dataOnly];
    this.#merging = merging.length;
    this.uppers = uppers;
  }

  isUpper({ layer }: LayerPath): boolean {
    return layer < this.uppers;
  }

  /** The roots of the layers that merge, from `top` on. */
  roots(top = 0): LayerPath[] {
    const merging = this.trees.slice(0, this.#merging);
    return merging.map((_tree, layer) => ({ layer, path: "" })).slice(top);
  }

  tree(place: LayerPath): Tree {
    return this.trees[place.layer] as Tree;
  }

  /** The path of an object, for messages. */
  shown({ layer, path }: LayerPath): string {
    return shownIn(this.tree({ layer, path }), path);
  }

  /** Names in the merged directory, including whited-out ones, sorted by bytes. */
  names(places: readonly LayerPath[]): string[] {
    const all = new Set<string>();
    for (const place of places) for (const name of namesIn(this.tree(place), place.path)) all.add(name);
    return [...all].sort();
  }

  /** The object at a name of one layer, or "whiteout"; undefined if there is none. */
  look({ layer, path }: LayerPath, name: string): Hit | "whiteout" | undefined {
    return lookUp(this.tree({ layer, path }), path, name, (fd, attr) => this.#hit({ layer, path }, { fd, name, attr }));
  }

  /** The objects at many names of one directory, which is opened once. */
  lookAll({ layer, path }: LayerPath, names: readonly string[]): Looked {
    const found = new Map<string, Hit | "whiteout">();
    lookUpAll(this.tree({ layer, path }), { path, names }, (fd, name, attr) => {
      found.set(name, this.#hit({ layer, path }, { fd, name, attr }));
    });
    return found;
  }

  #hit({ layer, path }: LayerPath, { fd, name, attr }: { fd: number; name: string; attr: Attr }): Hit | "whiteout" {
    const tree = this.tree({ layer, path });
    if (isWhiteoutAt(tree, fd, { name, attr })) return "whiteout";
    const here = join(path, name);
    if (isDirectory(attr)) {
      const opaque = native.getxattrat(fd, name, `${tree.prefix}opaque`, mark) >= 0 && mark[0] === 0x79;
      return { layer, path: here, attr, opaque, metacopy: false };
    }
    const listed = listAttributes(fd, name);
    const metacopy = isRegular(attr) && listed?.includes(`${tree.prefix}metacopy`) === true;
    return { layer, path: here, attr, opaque: false, metacopy, listed };
  }

  /**
   * The objects behind `name` in the directory that `parents` merge into, topmost first: of a directory all that merge; of a metadata-only
   * copy those down to the data; nothing below an object that is covered. Empty if there is none. `looked`: the names of each parent, if they were looked up before.
   */
  resolve(parents: readonly LayerPath[], name: string, looked?: readonly Looked[]): Hit[] {
    const hits: Hit[] = [];
    let [at, wanted] = [parents, name];
    for (let index = 0; index < at.length; index++) {
      const hit =
        looked !== undefined && at === parents && wanted === name ? looked[index]?.get(name) : this.look(at[index] as LayerPath, wanted);
      if (hit === undefined) continue;
      if (hit === "whiteout" || (hits.length > 0 && !this.#continues(hits, hit))) break;
      hits.push(hit);
      if (hit.opaque || isCovered(hit.attr) || !(isDirectory(hit.attr) || hit.metacopy)) break;
      const redirect = this.mark(hit, "redirect");
      if (redirect === undefined) continue;
      if (isMalformed(redirect)) break;
      const below = at.slice(index + 1);
      [at, wanted] = redirect.startsWith("/") ? this.#follow(hit.layer + 1, redirect) : [below, redirect];
      index = -1;
    }
    const last = hits.at(-1);
    return last?.metacopy === true ? [...hits, ...this.#dataOnly(last)] : hits;
  }

  /** An absolute redirect names the data in the first data-only layer that has it. */
  #dataOnly(copy: Hit): Hit[] {
    const redirect = this.#merging < this.trees.length ? this.mark(copy, "redirect") : undefined;
    if (redirect?.startsWith("/") !== true || isMalformed(redirect)) return [];
    const slash = redirect.lastIndexOf("/");
    for (let layer = this.#merging; layer < this.trees.length; layer++) {
      const hit = this.look({ layer, path: redirect.slice(1, Math.max(1, slash)) }, redirect.slice(slash + 1));
      if (hit !== undefined && hit !== "whiteout" && isRegular(hit.attr)) return [{ ...hit, metacopy: false }];
    }
    return [];
  }

  /** Below a directory only directories count; below a metadata-only copy only files do. */
  #continues(hits: readonly Hit[], hit: Hit): boolean {
    return isDirectory((hits[0] as Hit).attr) === isDirectory(hit.attr);
  }

  /** Follows an absolute redirect from the roots of the layers below. @returns its directory, and the last name */
  #follow(top: number, redirect: string): [LayerPath[], string] {
    const names = redirect.slice(1).split("/");
    const last = names.pop() as string;
    let at: LayerPath[] = this.roots(top);
    for (const name of names) at = this.resolve(at, name).filter(({ attr }) => isDirectory(attr));
    return [at, last];
  }

  /** A mark as text; undefined if there is none. */
  mark(place: LayerPath, name: string): string | undefined {
    const bytes = this.rawMark(place, name);
    return bytes?.toString("latin1");
  }

  rawMark(place: LayerPath, name: string): Buffer | undefined {
    const tree = this.tree(place);
    return this.withObject(place, (fd) => {
      const length = native.getxattrat(fd, "", tree.prefix + name, mark);
      if (length >= 0) return Buffer.from(mark.subarray(0, length));
      if (length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP) return undefined;
      throw failed(this.shown(place), `its marks cannot be read (${errnoName(-length)})`, "run as root");
    });
  }

  /** Runs `use` on a descriptor of the object itself, whatever it is. */
  withObject<T>(place: LayerPath | Hit, use: (fd: number) => T): T {
    const fd = this.#openObject(place);
    if (fd < 0)
      throw failed(this.shown(place), `it cannot be opened (${errnoName(-fd)})`, remedyFor(fd, "do not change the layers meanwhile"));
    try {
      return use(fd);
    } finally {
      native.close(fd);
    }
  }

  /** The attributes of an O_PATH descriptor are read by its name in /proc, so a file that can be read is opened for that. */
  #openObject(place: LayerPath | Hit): number {
    const { fd: root } = this.tree(place);
    const path = place.path === "" ? "." : place.path;
    const readable = "attr" in place && isRegular(place.attr) ? openBeneath(root, path, O.RDONLY | O.NONBLOCK, 0) : -1;
    return readable >= 0 ? readable : openBeneath(root, path, O.PATH | O.NOFOLLOW, 0);
  }

  /** A layer's root as an object. */
  rootOf(place: LayerPath): Hit {
    return this.withObject(place, (fd) => {
      const attr = new Attr();
      const status = native.statx(fd, "", AT.EMPTY_PATH, attr.words);
      if (status < 0) throw failed(this.shown(place), `it cannot be looked at (${errnoName(-status)})`, "check its disk");
      return { ...place, attr, opaque: false, metacopy: false };
    });
  }

  /** A descriptor for reading of a regular file. */
  openData(place: LayerPath): number {
    // The owner may put a FIFO in its place meanwhile: the open must not wait for a writer.
    const fd = openBeneath(this.tree(place).fd, place.path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK, 0);
    if (fd < 0)
      throw failed(this.shown(place), `it cannot be read (${errnoName(-fd)})`, remedyFor(fd, "check its permissions and its disk"));
    return fd;
  }
}

/** The upper layers over one layer in which each name is a directory: a search in them that ends in it goes on below, at the path found. */
export class OverAnything extends LayerStack {
  readonly #directory = new Attr();

  constructor({ trees, uppers }: LayerStack) {
    super(trees.slice(0, uppers + 1), { uppers });
    this.#directory.words[StatWord.mode] = S.IFDIR;
  }

  override look(place: LayerPath, name: string): Hit | "whiteout" | undefined {
    if (this.isUpper(place)) return super.look(place, name);
    return { layer: place.layer, path: join(place.path, name), attr: this.#directory, opaque: false, metacopy: false };
  }

  override mark(place: LayerPath, name: string): string | undefined {
    return this.isUpper(place) ? super.mark(place, name) : undefined;
  }
}
