/** An open file as it is now, long after its open, for a gate that judges it again. */
import { Attr, type FileHandle, S } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { Intent } from "../gate/gate.js";
import { statFd } from "../layer/host-layer.js";
import { readXattrOf } from "../node/node-xattr.js";
import { contentOf } from "../io/content.js";
import { accessesOf } from "./open-intent.js";

export interface OpenReview {
  /** As if it were opened now, by all the names it is known by now. */
  intent: Intent;
  /** st_ino in the mount. */
  ino: bigint;
  /** Reads and writes come to the daemon, and somebody is asked about each. */
  watched: boolean;
  /** Its transfers are refused: see withhold-open.ts. */
  withheld: boolean;
}

/** Undefined where it was closed meanwhile, or cannot be looked at. */
export function reviewOpen(core: Core, handle: FileHandle): OpenReview | undefined {
  const file = core.handles.file(handle);
  if (file === undefined) return undefined;
  const { node, fd } = file;
  const attr = new Attr();
  if (statFd(fd, attr) < 0 || (attr.mode & S.IFMT) !== S.IFREG) return undefined;
  const ino = (BigInt(node.inoHi >>> 0) << 32n) | BigInt(node.inoLo >>> 0);
  const intent: Intent = {
    operation: "open",
    accesses: accessesOf(file.flags),
    paths: core.paths.of(core, node, attr),
    layer: node.top.layer.name,
    attr,
    openFlags: file.flags,
    readXattr: (name) => readXattrOf(fd, name),
    content: contentOf(core, node),
  };
  const withheld = file.withheld !== 0;
  return { intent, ino, watched: (withheld ? file.watchBefore : file.watch) !== undefined, withheld };
}
