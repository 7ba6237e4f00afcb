/** The lower object that an upper one was copied from: its origin mark holds the file handle (struct ovl_fb). */
import { type Hit, isDirectory, join, type LayerPath, type LayerStack } from "@sluice/layer-tools";
import { native } from "@sluice/native";
import { AT } from "@sluice/vfs";

/** The length of a mark before its handle. */
export const ORIGIN_HEADER_BYTES = 21;
const TYPE_AT = 4;
const handle = Buffer.alloc(128);

function identity(type: number, bytes: Buffer): string {
  return `${type}:${bytes.toString("latin1")}`;
}

/** The handle in the origin mark of an upper object; undefined if it was not copied up, or if its file system has no handles. */
export function originOf(stack: LayerStack, upper: Hit): string | undefined {
  const mark = stack.rawMark(upper, "origin");
  return mark === undefined || mark.length <= ORIGIN_HEADER_BYTES
    ? undefined
    : identity(mark[TYPE_AT] as number, mark.subarray(ORIGIN_HEADER_BYTES));
}

/** The handle of a lower object itself, valid until the next call. */
export function rawHandleOf(stack: LayerStack, lower: Hit): { type: number; bytes: Buffer } | undefined {
  const both = stack.withObject(lower, (fd) => native.nameToHandleAt(fd, "", AT.EMPTY_PATH, handle));
  return both < 0 ? undefined : { type: both >>> 16, bytes: handle.subarray(0, both & 0xffff) };
}

/** The handle of a lower object itself, to compare with `originOf`; undefined without handles. */
export function handleOf(stack: LayerStack, lower: Hit): string | undefined {
  const found = rawHandleOf(stack, lower);
  return found === undefined ? undefined : identity(found.type, found.bytes);
}

/** The objects of the frozen layers of a session, by their handles. */
const frozenObjects = new WeakMap<LayerStack, ReadonlyMap<string, Hit>>();

function readFrozen(stack: LayerStack): ReadonlyMap<string, Hit> {
  const objects = new Map<string, Hit>();
  const directories: LayerPath[] = stack.roots(1).filter((root) => stack.isUpper(root));
  for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
    for (const name of stack.names([at])) {
      const hit = stack.look(at, name);
      if (hit === undefined || hit === "whiteout") continue;
      if (isDirectory(hit.attr)) directories.push({ layer: at.layer, path: join(at.path, name) });
      const key = handleOf(stack, hit);
      if (key !== undefined) objects.set(key, hit);
    }
  }
  return objects;
}

/** The origin of an upper object in the layers below all upper ones: a copy may have been copied again from a frozen layer. */
export function originBelow(stack: LayerStack, upper: Hit): string | undefined {
  const origin = originOf(stack, upper);
  if (origin === undefined || stack.uppers === 1) return origin;
  const frozen = frozenObjects.get(stack) ?? readFrozen(stack);
  frozenObjects.set(stack, frozen);
  const copied = frozen.get(origin);
  return copied === undefined || copied.layer <= upper.layer ? origin : originBelow(stack, copied);
}
