/**
 * Gives each name of a changed file its link in the upper layer, after the command of a session. While the session is mounted, the index of
 * hard links (workdir/index) leads from the other names of such a file, which are in a lower layer alone, to the changed one. All that reads
 * layers without a mount does not know the index. So each of these names becomes a link, and then the index is empty.
 */
import { BaseRecorder, BaseRecords, identityIn } from "@sluice/base-record";
import { furnish, furnitureOf, type Hit, isCovered, isDirectory, join, type LayerPath, LayerStack, type Tree } from "@sluice/layer-tools";
import { native, openBeneath, readNames } from "@sluice/native";
import { AT, Attr, Errno, O, S } from "@sluice/vfs";
import { must, type Place } from "./apply/place.js";

import { ORIGIN_HEADER_BYTES, rawHandleOf } from "./origin.js";

const INDEX = "index";
/** The mount removes what it finds there. */
const SCRATCH = "work";
const NEW = "named";
const UUID_BYTES = 16;
const UUID_AT = 5;
const PRIVATE = 0o700;
const YES = Buffer.from("y");
const NO_UUID = Buffer.alloc(UUID_BYTES);

/** A merged directory of the view. */
interface Directory {
  path: string;
  places: readonly LayerPath[];
  /** Undefined only of the root, which is in the upper layer. */
  object: Hit | undefined;
  above: Directory | undefined;
}

function openOf(fd: number, path: string): number | undefined {
  const opened = openBeneath(fd, path, O.RDONLY | O.DIRECTORY, 0);
  return opened === -Errno.ENOENT ? undefined : must(opened, path, "the directory cannot be opened");
}

/** The names of the entries. Each is the handle of a lower file, as an origin mark has it. */
function entriesOf(index: number): string[] {
  const names = readNames(index);
  if (typeof names === "number") must(names, INDEX, "the index of hard links cannot be read");
  const attr = new Attr();
  return (names as string[]).filter((name) => {
    if (!/^(?:[\da-f]{2})+$/.test(name) || native.statx(index, name, AT.SYMLINK_NOFOLLOW, attr.words) < 0) return false;
    const kind = attr.mode & S.IFMT;
    return kind !== S.IFDIR && !(kind === S.IFCHR && attr.rdev === 0);
  });
}

function isMarkedWithoutUuid({ fd, prefix }: Tree): boolean {
  const mark = Buffer.alloc(ORIGIN_HEADER_BYTES + 128);
  const length = native.getxattrat(fd, "", `${prefix}origin`, mark);
  return length > ORIGIN_HEADER_BYTES && mark.subarray(UUID_AT, ORIGIN_HEADER_BYTES).equals(NO_UUID);
}

class Linking {
  readonly #stack: LayerStack;
  readonly #upper: Tree;
  readonly #work: number;
  readonly #index: number;
  readonly #entries: ReadonlySet<string>;
  readonly #records: readonly number[];
  #seen: BaseRecords | undefined;
  #recorder: BaseRecorder | undefined;
  /** Of the file system of each layer. */
  readonly #uuids = new Map<number, Buffer>();
  /** The index was made without the UUID of the topmost lower layer's file system: see open-link-index.ts of the mount. */
  readonly #lacksUuid: boolean;

  constructor(
    stack: LayerStack,
    records: readonly number[],
    { work, index, entries }: { work: number; index: number; entries: readonly string[] },
  ) {
    this.#stack = stack;
    this.#upper = stack.tree({ layer: 0, path: "" });
    this.#work = work;
    this.#index = index;
    this.#entries = new Set(entries);
    this.#records = records;
    this.#lacksUuid = isMarkedWithoutUuid(this.#upper);
  }

  link(): void {
    const pending: Directory[] = [{ path: "", places: this.#stack.roots(), object: undefined, above: undefined }];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) this.#directory(at, pending);
    this.#recorder?.close();
  }

  #directory(at: Directory, pending: Directory[]): void {
    const names = this.#stack.names(at.places);
    const looked = at.places.map((place) => this.#stack.lookAll(place, names));
    for (const name of names) {
      // Names below a mount are not found: they keep the former file.
      const places = this.#stack.resolve(at.places, name, looked).filter(({ attr }) => !isCovered(attr));
      const [object] = places;
      if (object === undefined) continue;
      if (isDirectory(object.attr)) pending.push({ path: join(at.path, name), places, object, above: at });
      else if (object.layer !== 0 && object.attr.nlink > 1) this.#name(at, name, object);
    }
  }

  #name(at: Directory, name: string, lower: Hit): void {
    const entry = this.#originMark(lower)?.toString("hex");
    if (entry === undefined || !this.#entries.has(entry)) return;
    this.#note(lower);
    const into = this.#openUpper(at);
    try {
      const attr = new Attr();
      native.statx(into, "", AT.EMPTY_PATH, attr.words);
      this.#markImpure(into);
      must(native.linkat(this.#index, entry, into, name, 0), join(at.path, name), "it cannot be linked in the session");
      native.utimensat(into, "", attr, AT.EMPTY_PATH);
    } finally {
      native.close(into);
    }
  }

  /** For the review, unless the file has changed since the session saw it by another name: then the name is a conflict. */
  #note(lower: Hit): void {
    const own = this.#records.at(-1);
    if (own === undefined || lower.layer !== this.#stack.uppers) return;
    this.#seen ??= new BaseRecords(this.#records);
    const entry = this.#seen.withIdentity(identityIn(lower.attr));
    this.#recorder ??= new BaseRecorder(native.dupfd(own));
    this.#recorder.noteShared(lower.path);
    if (entry !== undefined) this.#recorder.noteName(lower.path, entry);
  }

  /** As the mount writes it of a lower object; undefined if its file system has no handles. */
  #originMark(lower: Hit): Buffer | undefined {
    const found = rawHandleOf(this.#stack, lower);
    if (found === undefined) return undefined;
    const mark = Buffer.alloc(ORIGIN_HEADER_BYTES + found.bytes.length);
    mark.set([0, 0xfb, mark.length, process.arch === "x64" || process.arch === "arm64" ? 0 : 1, found.type]);
    mark.set(this.#uuidOf(lower), UUID_AT);
    mark.set(found.bytes, ORIGIN_HEADER_BYTES);
    return mark;
  }

  #uuidOf({ layer }: Hit): Buffer {
    const uuid = this.#realUuidOf(layer);
    return this.#lacksUuid && uuid.equals(this.#realUuidOf(1)) ? NO_UUID : uuid;
  }

  #realUuidOf(layer: number): Buffer {
    let uuid = this.#uuids.get(layer);
    if (uuid !== undefined) return uuid;
    uuid = Buffer.alloc(UUID_BYTES);
    // That of the tree takes no ioctl (O_PATH).
    const { fd: tree } = this.#stack.tree({ layer, path: "" });
    const fd = must(openBeneath(tree, ".", O.RDONLY | O.DIRECTORY, 0), "the layer", "it cannot be opened");
    native.getFsUuid(fd, uuid);
    native.close(fd);
    this.#uuids.set(layer, uuid);
    return uuid;
  }

  /** Best effort, as in the mount: it tells overlayfs that inode numbers in the directory need a look. */
  #markImpure(directory: number): void {
    native.setxattrat(directory, "", `${this.#upper.prefix}impure`, YES, 0);
  }

  /** A descriptor of the upper directory, which is made if it does not exist. */
  #openUpper(at: Directory): number {
    const there = openOf(this.#upper.fd, at.path === "" ? "." : at.path);
    if (there !== undefined) return there;
    const parent = this.#openUpper(at.above as Directory);
    try {
      this.#copyUp(at, parent);
    } finally {
      native.close(parent);
    }
    return must(openBeneath(this.#upper.fd, at.path, O.RDONLY | O.DIRECTORY, 0), at.path, "the directory cannot be opened");
  }

  /** It is whole when it gets its name. */
  #copyUp({ path, object }: Directory, parent: number): void {
    const scratch = must(openBeneath(this.#work, SCRATCH, O.RDONLY | O.DIRECTORY, 0), SCRATCH, "the directory cannot be opened");
    try {
      native.unlinkat(scratch, NEW, AT.REMOVEDIR);
      must(native.mkdirat(scratch, NEW, PRIVATE), path, "the directory cannot be made in the session");
      const fd = must(openBeneath(scratch, NEW, O.RDONLY | O.DIRECTORY, 0), path, "the directory cannot be opened");
      try {
        furnish(furnitureOf({ stack: this.#stack, path, object: object as Hit }), fd);
        const origin = this.#originMark(object as Hit);
        if (origin !== undefined) native.setxattrat(fd, "", `${this.#upper.prefix}origin`, origin, 0);
      } finally {
        native.close(fd);
      }
      this.#markImpure(parent);
      const moved = native.moveKeepingTimes(scratch, NEW, parent, path.slice(path.lastIndexOf("/") + 1));
      must(moved, path, "the directory cannot be moved into the session");
    } finally {
      native.close(scratch);
    }
  }
}

/**
 * The session is locked, and no mount uses its layers. It can be repeated.
 * @param work its work directory. @param place called if there is something to do. @throws CliError
 */
export function linkNames(work: Tree, place: () => Pick<Place, "upper" | "frozen" | "base" | "snapshot" | "records">): void {
  const index = openOf(work.fd, INDEX);
  if (index === undefined) return;
  try {
    const entries = entriesOf(index);
    if (entries.length === 0) return;
    const { upper, frozen = [], base, snapshot = base, records = [] } = place();
    const stack = new LayerStack([upper, ...frozen, snapshot], { uppers: 1 + frozen.length });
    new Linking(stack, records, { work: work.fd, index, entries }).link();
    for (const name of entries) {
      native.removexattrat(index, name, `${upper.prefix}nlink`);
      must(native.unlinkat(index, name, 0), INDEX, "an entry cannot be removed");
    }
  } finally {
    native.close(index);
  }
}
