/** An open file, looked at once more long after its open: what it is now, for who judges it anew, and what may follow. */
import { Attr, type FileHandle, S } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { Intent, IoWatch } from "../gate/gate.js";
import { statFd } from "../layer/host-layer.js";
import { readXattrOf } from "../node/node-xattr.js";
import { contentOf } from "./content.js";
import type { OpenFile } from "./handle-table.js";
import { accessesOf } from "./open-intent.js";

export interface OpenReview {
  /** As if it were opened now, by all the names it is known by now. */
  intent: Intent;
  /** st_ino in the mount. */
  ino: bigint;
  /** Reads and writes come to the daemon, and somebody is asked about each. */
  watched: boolean;
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
  return { intent, ino, watched: (file.withheld ? file.watchBefore : file.watch) !== undefined };
}

/** `before` answers for every transfer that comes to us from now on, and pages that the kernel keeps are dropped; undefined undoes that. */
export function withhold(core: Core, handle: FileHandle, errno: number | undefined): void {
  const file = core.handles.file(handle);
  if (file === undefined) return;
  core.journal?.withheld(file, errno);
  if (errno === undefined) {
    if (file.withheld) file.watch = file.watchBefore;
    file.withheld = false;
    return;
  }
  if (!file.withheld) file.watchBefore = file.watch;
  file.watch = refusing(errno);
  file.withheld = true;
  dropPages(core, file);
}

function refusing(errno: number): IoWatch {
  return { before: () => -errno, after: () => undefined };
}

/** What it has read would be read again without a word to us. Pages of passthrough are the backing file's. */
function dropPages(core: Core, file: OpenFile): void {
  if (file.mode === "cached") core.port.invalidateInode(file.nodeId, 0, 0);
}
