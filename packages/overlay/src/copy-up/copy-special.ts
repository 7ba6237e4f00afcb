/** Copy-up of symlinks, devices, FIFOs and sockets: nothing to copy but the object itself. */
import { Attr, O, S } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import type { RealDir } from "../layer/host-layer.js";
import { closeFd, openName, statFd, sys, upkeep } from "../layer/system-calls.js";
import { copyOrigin } from "../marks/origin.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { copyMetadata } from "./copy-metadata.js";
import { noteObject } from "./note-base.js";
import { publish } from "./publish.js";

/** 0 or a positive errno. */
export function copySpecial(core: CopyUpContext, node: Node): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  const source = openNode(core, node, O.PATH | O.NOFOLLOW);
  if (source < 0) return -source;
  const name = core.scratchName();
  const attr = new Attr();
  let status = statFd(source, attr);
  if (status === 0) status = makeSpecial({ scratch, name, source, attr });
  if (status === 0) {
    status = -furnish(core, node, { scratch, name, source, attr }) || 0;
    if (status !== 0) upkeep.unlinkat(scratch, name, 0);
  }
  closeFd(source);
  return -status || 0;
}

interface SpecialCopy {
  scratch: number;
  name: string;
  source: number;
  attr: Attr;
}

function furnish(core: CopyUpContext, node: Node, copy: SpecialCopy): number {
  const { source, attr, name } = copy;
  const target = openName(copy.scratch, name, O.PATH | O.NOFOLLOW, 0);
  if (target < 0) return -target;
  let status = copyMetadata(core, { source, target, attr });
  if (status === 0) {
    const origin = copyOrigin(core, node.top.layer, { source, target });
    noteObject(core, node, source, attr);
    status = publish(core, node, { name, target, origin, attr });
  }
  closeFd(target);
  return status;
}

const link = Buffer.alloc(4096);

function makeSpecial(special: SpecialCopy): number {
  const { scratch, name, attr } = special;
  if ((attr.mode & S.IFMT) === S.IFLNK) {
    const length = sys.readlinkat(special.source, "", link);
    return length < 0 ? length : upkeep.symlinkat(link.toString("latin1", 0, length), scratch, name);
  }
  const rdev = attr.rdev;
  return upkeep.mknodat(scratch, name, attr.mode, (rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00));
}
