/** From what a search found to a node: the known one, or a new one, with its inode number. */
import type { Attr, ByteName } from "@sluice/vfs";
import { S } from "@sluice/vfs";
import type { Core } from "../core.js";
import { sys } from "../layer/host-layer.js";
import { readOrigin } from "../marks/origin.js";
import type { Found } from "../merge/find.js";
import type { Node } from "./node.js";

/** Bits of the high word that carry the device's index where layers lie on several devices. */
const DEVICE_SHIFT = 24;

/** The node for what was found under `name`; made where it is not known yet. */
export function admit(core: Core, at: { parent: Node; name: ByteName }, found: Found): Node {
  const { attr } = found;
  const shared = found.kind !== S.IFDIR && attr.nlink > 1;
  if (shared && found.dir?.layer.writable === true) {
    const known = core.nodes.linked(attr.ino);
    if (known !== undefined && known.kind === found.kind) {
      if (known.fd >= 0) revive(known, at.name, found);
      core.nodes.attach(known, at.parent, at.name);
      return known;
    }
  }
  const node = core.nodes.make(found.kind);
  place(core, node, at.name, found);
  core.nodes.attach(node, at.parent, at.name);
  if (shared) rememberLinks(core, node, attr);
  return node;
}

/** It had lost every name we knew of, and now we learn of one more. */
function revive(node: Node, name: ByteName, found: Found): void {
  sys.close(node.fd);
  node.fd = -1;
  node.lastPath = undefined;
  node.dir = found.dir;
  node.realName = name;
}

function place(core: Core, node: Node, name: ByteName, found: Found): void {
  const words = found.attr.words;
  if (found.kind === S.IFDIR) {
    node.dirs = found.dirs;
    node.opaque = found.opaque;
    const origin = found.lowerIno;
    if (origin !== undefined) return setIno(core, node, origin);
  } else {
    node.dir = found.dir;
    node.realName = name;
    const origin = node.top.layer.writable && node.top.impure ? readOrigin(core, node) : undefined;
    if (origin !== undefined) return setIno(core, node, origin);
  }
  setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex });
}

export function setIno(core: Core, node: Node, ino: { lo: number; hi: number; device: number }): void {
  node.inoLo = ino.lo;
  node.inoHi = mixDevice(core, ino.hi, ino.device);
}

export function mixDevice(core: Core, hi: number, device: number): number {
  return core.severalDevices ? (hi ^ (device << DEVICE_SHIFT)) >>> 0 : hi;
}

/** Further names of the same object: one node in the upper layer; in a lower, separate nodes that know of each other. */
export function rememberLinks(core: Core, node: Node, attr: Attr): void {
  if (node.top.layer.writable) core.nodes.rememberLink(node, attr.ino);
  else core.nodes.rememberLowerLink(node, lowerLinkKey(node, attr.ino));
}

export function lowerLinkKey(node: Node, ino: number): string {
  return `${node.top.layer.index}:${ino}`;
}
