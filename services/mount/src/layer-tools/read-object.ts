/** What an object of a layer carries beside its data, as whoever looks at the merged tree would see it. */
import { native } from "@sluice/native";
import { escapeName } from "@sluice/runtime";
import { Errno, errnoName } from "@sluice/vfs";
import { failed } from "@sluice/runtime/cli";
import type { LayerStack, Place } from "./layer-stack.js";

const MAX_BYTES = 65_536;
const list = Buffer.alloc(MAX_BYTES);
const value = Buffer.alloc(MAX_BYTES);

/** Extended attributes without overlayfs' own marks, by name, sorted. What callers stored under the escaped prefix is theirs. */
export function readXattrs(stack: LayerStack, place: Place): [name: string, value: Buffer][] {
  const { prefix } = stack.tree(place);
  return stack.withObject(place, (fd) => {
    const length = native.listxattrat(fd, "", list);
    if (length === -Errno.EOPNOTSUPP) return [];
    if (length < 0) throw failed(stack.shown(place), `its attributes cannot be listed (${errnoName(-length)})`, "run as root");
    const names = list.toString("latin1", 0, length).split("\0");
    const kept = names.filter((name) => name !== "" && (!name.startsWith(prefix) || name.startsWith(`${prefix}overlay.`)));
    return kept.sort().map((name): [string, Buffer] => [name, readXattr(stack, place, { fd, name })]);
  });
}

function readXattr(stack: LayerStack, place: Place, { fd, name }: { fd: number; name: string }): Buffer {
  const length = native.getxattrat(fd, "", name, value);
  if (length < 0)
    throw failed(stack.shown(place), `its attribute ${escapeName(name)} cannot be read (${errnoName(-length)})`, "run as root");
  return Buffer.from(value.subarray(0, length));
}

export function readTarget(stack: LayerStack, place: Place): string {
  return stack.withObject(place, (fd) => {
    const length = native.readlinkat(fd, "", value);
    if (length < 0) throw failed(stack.shown(place), `the link cannot be read (${errnoName(-length)})`, "check its disk");
    return value.toString("latin1", 0, length);
  });
}
