/** Writes the items of a walk into a new directory: as a lower layer in the kernel's format, or as a plain tree. */
import { inDirectory, native, openBeneath } from "@sluice/native";
import { escapeName, failed } from "@sluice/runtime/cli";
import { AT, Errno, errnoName, O, S, SEEK } from "@sluice/vfs";
import { deviceOf } from "./export-layer.js";
import { type Hit, isRegular, type LayerStack } from "./layer-stack.js";
import { readTarget, readXattrs } from "./read-object.js";
import { type Item, shownPath } from "./walk-layers.js";

const PIECE_BYTES = 8n << 20n;

type Furnished = Extract<Item, { kind: "directory" | "object" }>;

/** The place of a new object: a descriptor of its directory, and its name. */
interface Spot {
  directory: number;
  name: string;
}

function checked(result: number, path: string, what: string): number {
  if (result >= 0) return result;
  throw failed(
    shownPath(path),
    `${what} (${errnoName(-result)})`,
    "make room, or write to a file system that takes owners, devices and attributes",
  );
}

export class LayerWriter {
  readonly #stack: LayerStack;
  readonly #root: number;
  readonly #opaqueMark: string;
  /**
   * They get their attributes last, the innermost first. Until then they belong to this process alone, so that no owner of the layer can
   * change new entries; and each new entry changes the times of its directory.
   */
  readonly #directories: Furnished[] = [];

  /** `root` is an empty directory, open for reading. It is closed at the end. */
  constructor(stack: LayerStack, root: number) {
    this.#stack = stack;
    this.#root = root;
    this.#opaqueMark = `${stack.trees[0]?.prefix}opaque`;
  }

  async write(items: Iterable<Item>): Promise<number> {
    let count = 0;
    try {
      for (const item of items) {
        await this.#item(item);
        count++;
      }
      for (const item of this.#directories.reverse()) this.#finish(item);
      checked(await native.syncfsAsync(this.#root), "", "the new layer cannot be synced");
      return count;
    } finally {
      native.close(this.#root);
    }
  }

  async #item(item: Item): Promise<void> {
    if (item.path === "") {
      if (item.kind === "directory") this.#directories.push(item);
      return;
    }
    const slash = item.path.lastIndexOf("/");
    const parent = slash < 0 ? "." : item.path.slice(0, slash);
    const directory = checked(openBeneath(this.#root, parent, O.PATH | O.DIRECTORY, 0), item.path, "its directory cannot be opened");
    try {
      await this.#make(item, { directory, name: item.path.slice(slash + 1) });
    } finally {
      native.close(directory);
    }
  }

  #link(to: string, { directory, name }: Spot): number {
    return inDirectory(this.#root, to, (from, first) => native.linkat(from, first, directory, name, 0));
  }

  async #make(item: Item, at: Spot): Promise<void> {
    const { directory, name } = at;
    switch (item.kind) {
      case "whiteout":
        checked(native.mknodat(directory, name, S.IFCHR, 0, 0), item.path, "its whiteout cannot be made");
        return;
      case "hard-link":
        checked(this.#link(item.to, at), item.path, "it cannot be linked");
        return;
      case "directory":
        checked(native.mkdirat(directory, name, 0o700), item.path, "it cannot be made");
        this.#directories.push(item);
        return;
      case "object":
        await this.#object(item, at);
        this.#furnish(item, at);
    }
  }

  #finish(item: Furnished): void {
    const furnish = (directory: number, name: string): number => {
      this.#furnish(item, { directory, name });
      return 0;
    };
    checked(inDirectory(this.#root, item.path, furnish), item.path, "its directory cannot be opened");
  }

  async #object({ path, object, data }: { path: string; object: Hit; data: Hit }, { directory, name }: Spot): Promise<void> {
    const { mode, rdev } = object.attr;
    if (isRegular(object.attr)) return this.#content(path, { object, data }, { directory, name });
    if ((mode & S.IFMT) === S.IFLNK) {
      checked(native.symlinkat(readTarget(this.#stack, object), directory, name), path, "it cannot be made");
      return;
    }
    const [major, minor] = deviceOf(rdev);
    checked(native.mknodat(directory, name, (mode & S.IFMT) | 0o600, major, minor), path, "it cannot be made");
  }

  async #content(path: string, { object, data }: { object: Hit; data: Hit }, { directory, name }: Spot): Promise<void> {
    const target = checked(native.openat(directory, name, O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC, 0o600), path, "it cannot be made");
    const source = this.#stack.openData(data);
    try {
      const size = object.attr.sizeExact;
      const there = data.attr.sizeExact < size ? data.attr.sizeExact : size;
      if (native.ficlone(target, source) < 0) await copyExtents(path, { source, target }, there);
      checked(native.ftruncate(target, size), path, "it cannot be made as long as it was");
    } finally {
      native.close(source);
      native.close(target);
    }
  }

  /** Sets owner, attributes, mode and times, in an order in which none undoes another. */
  #furnish(item: Furnished, at: Spot): void {
    const { attr } = item.object;
    const { directory, name } = at;
    checked(native.fchownat(directory, name, attr.uid, attr.gid, AT.SYMLINK_NOFOLLOW), item.path, "its owner cannot be set");
    for (const [attribute, value] of readXattrs(this.#stack, item.object)) {
      checked(native.setxattrat(directory, name, attribute, value, 0), item.path, `its attribute ${escapeName(attribute)} cannot be set`);
    }
    if (item.kind === "directory" && item.opaque) {
      checked(native.setxattrat(directory, name, this.#opaqueMark, Buffer.from("y"), 0), item.path, "it cannot be marked opaque");
    }
    if ((attr.mode & S.IFMT) !== S.IFLNK)
      checked(native.fchmodat(directory, name, attr.mode & 0o7777, 0), item.path, "its mode cannot be set");
    const { atimeSec, atimeNsec, mtimeSec, mtimeNsec } = attr;
    const times = { atimeSec, atimeNsec, mtimeSec, mtimeNsec };
    checked(native.utimensat(directory, name, times, AT.SYMLINK_NOFOLLOW), item.path, "its times cannot be set");
  }
}

/** Copies only data: holes stay holes. */
async function copyExtents(path: string, { source, target }: { source: number; target: number }, size: bigint): Promise<void> {
  for (let at = 0n; at < size; ) {
    const data = BigInt(native.lseek(source, at, SEEK.DATA));
    if (data === BigInt(-Errno.ENXIO)) return;
    const start = data < 0n ? at : data;
    const hole = data < 0n ? size : BigInt(native.lseek(source, start, SEEK.HOLE));
    const end = hole < 0n || hole > size ? size : hole;
    for (at = start; at < end; ) {
      const length = Number(end - at < PIECE_BYTES ? end - at : PIECE_BYTES);
      const copied = await copyPiece({ source, target }, at, length);
      if (copied === 0) throw failed(shownPath(path), "it became shorter while it was read", "do not change the layers meanwhile");
      at += BigInt(checked(copied, path, "its data cannot be copied"));
    }
  }
}

/** The kernel copies if it can between the two file systems; otherwise this process does. */
async function copyPiece({ source, target }: { source: number; target: number }, at: bigint, length: number): Promise<number> {
  const copied = await native.copyFileRangeAsync(source, at, target, at, length);
  if (copied > 0 || ![Errno.EXDEV, Errno.EOPNOTSUPP, Errno.EINVAL, Errno.ENOSYS, 0].includes(-copied)) return copied;
  const bytes = Buffer.allocUnsafe(Math.min(length, 1 << 20));
  const read = await native.preadAsync(source, bytes, { offset: 0, length: bytes.length, position: at }, 0);
  return read <= 0 ? read : native.pwriteAsync(target, bytes, { offset: 0, length: read, position: at }, 0);
}
