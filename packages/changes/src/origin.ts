/** The lower object that an upper one was copied from: its origin mark holds the file handle (struct ovl_fb). */
import type { Hit, LayerStack } from "@sluice/layer-tools";
import { native } from "@sluice/native";
import { AT } from "@sluice/vfs";

const HEADER = 21;
const TYPE_AT = 4;
const handle = Buffer.alloc(128);

function identity(type: number, bytes: Buffer): string {
  return `${type}:${bytes.toString("latin1")}`;
}

/** Undefined if it was not copied up, or if its file system has no handles. */
export function originOf(stack: LayerStack, upper: Hit): string | undefined {
  const mark = stack.rawMark(upper, "origin");
  return mark === undefined || mark.length <= HEADER ? undefined : identity(mark[TYPE_AT] as number, mark.subarray(HEADER));
}

/** The same for a lower object itself. */
export function handleOf(stack: LayerStack, lower: Hit): string | undefined {
  const both = stack.withObject(lower, (fd) => native.nameToHandleAt(fd, "", AT.EMPTY_PATH, handle));
  return both < 0 ? undefined : identity(both >>> 16, handle.subarray(0, both & 0xffff));
}
