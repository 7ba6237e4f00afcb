/** Tells the record of the base which lower object is about to be replaced, if the mount has one. */
import { andThen, Attr, O, S, type Status } from "@sluice/vfs";
import type { BaseRecord, OverlayConfig, OverlayEvents } from "../contract/config.js";
import { closeFd, statFd, sys } from "../layer/system-calls.js";
import { type Dentry, type Node, pathOf } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import type { NodeStore } from "../node/known-paths.js";

export interface BaseContext extends NodeStore {
  readonly config: Pick<OverlayConfig, "baseRecord" | "sharedLower">;
  readonly events: Pick<OverlayEvents, "anomaly">;
  readonly scratchAttr: Attr;
}

const link = Buffer.alloc(4096);

/** Of a fork, the layers between the upper one and the lowest are its own: the mounts that wrote them recorded the lowest. */
function recordFor(core: BaseContext, node: Node): BaseRecord | undefined {
  return node.inUpper || core.layers.at(-1) !== node.top.layer ? undefined : core.config.baseRecord;
}

function pathInLower({ dirs, dir, realName, top }: Node): string {
  return (dirs === undefined ? [...(dir?.components() ?? []), realName] : top.components()).join("/");
}

function told(core: BaseContext, node: Node, status: Status): Status {
  return andThen(status, (errno) => {
    if (errno !== 0) core.events.anomaly("a replaced lower object cannot be recorded", { path: pathOf(node), errno });
    return 0;
  });
}

/** A regular file that is copied: `source` is open for reading, and `attr` is older than the copy. 0 at once without a record. */
export function noteFile(core: BaseContext, node: Node, { source, attr }: { source: number; attr: Attr }): Status {
  const record = recordFor(core, node);
  return record === undefined ? 0 : told(core, node, record.noteFile(pathInLower(node), attr, source));
}

/** Any object, without its bytes; `fd` stands for it. */
export function noteObject(core: BaseContext, node: Node, fd: number, attr: Attr): void {
  const record = recordFor(core, node);
  if (record === undefined) return;
  const length = (attr.mode & S.IFMT) === S.IFLNK ? sys.readlinkat(fd, "", link) : -1;
  void told(core, node, record.note(pathInLower(node), attr, length < 0 ? undefined : link.toString("latin1", 0, length)));
}

/** A further name of a file that was copied up by another one: if the lowest layer has it, it is about to be hidden there. */
export function noteName(core: BaseContext, node: Node, { parent, name }: Dentry): void {
  const { baseRecord } = core.config;
  const lowest = core.layers.at(-1);
  const directory = parent.dirs?.find(({ layer }) => layer === lowest);
  if (baseRecord !== undefined && directory !== undefined)
    void told(core, node, baseRecord.noteShared([...directory.components(), name].join("/")));
}

/** A lower object that is about to be hidden. */
export function noteHidden(core: BaseContext, node: Node, fd: number): void {
  if (recordFor(core, node) === undefined) return;
  if (statFd(fd, core.scratchAttr) >= 0) noteObject(core, node, fd, core.scratchAttr);
}

/** A lower object that a rename is about to replace: whoever writes a file so means to edit it, and its bytes may be needed. */
export function noteReplaced(core: BaseContext, node: Node): Status {
  if (recordFor(core, node) === undefined) return 0;
  const attr = new Attr();
  const fd = openNode(core, node, node.isRegular ? O.RDONLY : O.PATH | O.NOFOLLOW);
  if (fd < 0) return 0;
  const noted = statFd(fd, attr) < 0 ? 0 : node.isRegular ? noteFile(core, node, { source: fd, attr }) : noteObject(core, node, fd, attr);
  return andThen(noted ?? 0, () => {
    closeFd(fd);
    return 0;
  });
}
