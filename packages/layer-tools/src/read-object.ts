/** Reads an object of a layer as the merged tree shows it: extended attributes, the target of a link, and a file's bytes. */
import { native } from "@sluice/native";
import { escapeName, failed } from "@sluice/runtime/cli";
import { Errno, errnoName } from "@sluice/vfs";
import type { LayerStack, LayerPath } from "./layer-stack.js";

const MAX_BYTES = 65_536;
const PIECE_BYTES = 1 << 20;
const list = Buffer.alloc(MAX_BYTES);
const value = Buffer.alloc(MAX_BYTES);

/** Whether a name belongs to overlayfs. Attributes under the escaped prefix belong to callers. */
export function isMark(prefix: string, name: string): boolean {
  return name.startsWith(prefix) && !name.startsWith(`${prefix}overlay.`);
}

/** An attribute of a caller whose name looks like a mark: the name that the caller gave it. Any other name stays as it is. */
export function shownName(prefix: string, stored: string): string {
  return stored.startsWith(`${prefix}overlay.`) ? prefix + stored.slice(prefix.length + "overlay.".length) : stored;
}

/** Extended attributes by name, sorted; without overlayfs' own marks, unless the tree is no layer of an overlay. */
export function readXattrs(stack: LayerStack, place: LayerPath, { isPlain = false } = {}): [name: string, value: Buffer][] {
  const { prefix } = stack.tree(place);
  return stack.withObject(place, (fd) => {
    const length = native.listxattrat(fd, "", list);
    if (length === -Errno.EOPNOTSUPP) return [];
    if (length < 0) throw failed(stack.shown(place), `its attributes cannot be listed (${errnoName(-length)})`, "run as root");
    const names = list.toString("latin1", 0, length).split("\0");
    const shown = names.filter((name) => name !== "" && (isPlain || !isMark(prefix, name)));
    return shown.sort().map((name): [string, Buffer] => [name, readXattr(stack, place, { fd, name })]);
  });
}

function readXattr(stack: LayerStack, place: LayerPath, { fd, name }: { fd: number; name: string }): Buffer {
  const length = native.getxattrat(fd, "", name, value);
  if (length < 0)
    throw failed(stack.shown(place), `its attribute ${escapeName(name)} cannot be read (${errnoName(-length)})`, "run as root");
  return Buffer.from(value.subarray(0, length));
}

export function readTarget(stack: LayerStack, place: LayerPath): string {
  return stack.withObject(place, (fd) => {
    const length = native.readlinkat(fd, "", value);
    if (length < 0) throw failed(stack.shown(place), `the link cannot be read (${errnoName(-length)})`, "check its disk");
    return value.toString("latin1", 0, length);
  });
}

/** A file's bytes in pieces, exactly `size` of them. @throws CliError if the file became shorter meanwhile */
export async function* readContent(stack: LayerStack, place: LayerPath, size: bigint): AsyncGenerator<Buffer> {
  const fd = stack.openData(place);
  try {
    for (let at = 0n; at < size; ) {
      const left = size - at;
      const length = left < BigInt(PIECE_BYTES) ? Number(left) : PIECE_BYTES;
      // A new one each time: the piece before may still wait to be written.
      const bytes = Buffer.allocUnsafe(length);
      const read = await native.preadAsync(fd, bytes, { offset: 0, length, position: at }, 0);
      if (read < 0) throw failed(stack.shown(place), `it cannot be read (${errnoName(-read)})`, "check its disk");
      if (read === 0) throw failed(stack.shown(place), "it became shorter while it was read", "do not change the layers meanwhile");
      yield bytes.subarray(0, read);
      at += BigInt(read);
    }
  } finally {
    native.close(fd);
  }
}
