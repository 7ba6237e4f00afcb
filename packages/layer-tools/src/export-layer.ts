/** Exports an upper layer as a layer of an OCI image: whiteouts and opaque directories in that format, and everything else unchanged. */
import type { Writable } from "node:stream";
import { type Attr, S } from "@sluice/vfs";
import { unfit } from "@sluice/runtime/cli";
import { join } from "./tree.js";
import { type Hit, isRegular, type LayerStack } from "./layer-stack.js";
import { readContent, readTarget, readXattrs } from "./read-object.js";
import { TarArchive, type TarEntry } from "./tar-archive.js";
import { type Item, shownPath, walkChanges } from "./walk-layers.js";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

const types: ReadonlyMap<number, TarEntry["type"]> = new Map([
  [S.IFREG, "file"],
  [S.IFDIR, "directory"],
  [S.IFLNK, "symlink"],
  [S.IFCHR, "character-device"],
  [S.IFBLK, "block-device"],
  [S.IFIFO, "fifo"],
]);

/** Marks have fixed attributes, so that the archive is reproducible. */
function markEntry(path: string): TarEntry {
  return { path, type: "file", mode: 0, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, size: 0n };
}

function ownerAndTimes({ mode, uid, gid, mtimeSec, mtimeNsec }: Attr): Omit<TarEntry, "path" | "type"> {
  return { mode, uid, gid, mtimeSec, mtimeNsec };
}

function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? ["", path] : [path.slice(0, slash), path.slice(slash + 1)];
}

export interface Exported {
  objects: number;
  /** Sockets, which a tar archive cannot hold. */
  left: string[];
}

export class LayerExport {
  readonly #stack: LayerStack;
  readonly #tar: TarArchive;
  readonly #exported: Exported = { objects: 0, left: [] };

  constructor(stack: LayerStack, into: Writable) {
    this.#stack = stack;
    this.#tar = new TarArchive(into);
  }

  async run(): Promise<Exported> {
    for (const item of walkChanges(this.#stack)) await this.#item(item);
    await this.#tar.end();
    return this.#exported;
  }

  async #item(item: Item): Promise<void> {
    const [directory, name] = splitPath(item.path);
    if (item.kind === "whiteout") {
      await this.#tar.add(markEntry(join(directory, WHITEOUT + name)));
      this.#exported.objects++;
      return;
    }
    if (name.startsWith(WHITEOUT)) {
      throw unfit(shownPath(item.path), `in an OCI layer a name that begins with "${WHITEOUT}" hides another one`, "rename it");
    }
    if (item.kind === "hard-link") {
      // Attributes again: some programs set them for each name.
      await this.#tar.add({ ...ownerAndTimes(item.object.attr), path: item.path, type: "link", linkTo: item.to, size: 0n });
      this.#exported.objects++;
      return;
    }
    await this.#object(item.path, item.object, item.kind === "object" ? item.data : item.object);
    if (item.kind === "directory" && item.opaque) await this.#tar.add(markEntry(join(item.path, OPAQUE)));
  }

  async #object(path: string, object: Hit, data: Hit): Promise<void> {
    const { attr } = object;
    const type = types.get(attr.mode & S.IFMT);
    if (type === undefined) {
      this.#exported.left.push(path);
      return;
    }
    const entry: TarEntry = { ...ownerAndTimes(attr), path, type, xattrs: readXattrs(this.#stack, object) };
    if (type === "symlink") entry.linkTo = readTarget(this.#stack, object);
    if (type === "character-device" || type === "block-device") [entry.major, entry.minor] = deviceOf(attr.rdev);
    const size = isRegular(attr) ? attr.sizeExact : 0n;
    await this.#tar.add({ ...entry, size }, size > 0n ? this.#content(data, size) : undefined);
    this.#exported.objects++;
  }

  /** Beyond the end of its data, a metadata-only copy reads as zeroes. */
  async *#content(data: Hit, size: bigint): AsyncGenerator<Buffer> {
    const there = data.attr.sizeExact < size ? data.attr.sizeExact : size;
    yield* readContent(this.#stack, data, there);
    for (let left = size - there; left > 0n; ) {
      const zeroes = Buffer.alloc(left < 65_536n ? Number(left) : 65_536);
      yield zeroes;
      left -= BigInt(zeroes.length);
    }
  }
}

/** glibc's layout of dev_t in 32 bits, as statx returns it. */
export function deviceOf(rdev: number): [major: number, minor: number] {
  return [(rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)];
}
