/**
 * By which of its nodeIds an open is served. Nearly always the one it came with. If that one is in a mode that does not
 * go with the open, it is answered ESTALE: the kernel looks the name up again (fs/namei.c do_filp_open, once), finds the
 * node under another id with the same inode number, and opens that. What is open goes on with what it has.
 *
 * A node has its own id, and may have others:
 * - one whose readers pass through to the lower file, while the object lies in the upper layer by now;
 * - one whose opens are withheld, which must get no pages by later ones (withhold-open.ts);
 * - one for each open whose bytes must pass us, while others of the same file pass it by or bring pages.
 */
import { type CallContext, type EntryOut, Errno, type NodeId, type Status } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { Node } from "../node/node.js";
import type { FormerId } from "../node/node-table.js";
import { InodeIo } from "../io/inode-io.js";
import { liveFor, liveOf, MODE_TABLE, type Wish } from "./mode-table.js";
import { isOnlyWithheld } from "../io/withhold-open.js";

export interface RoutedOpen {
  readonly call: CallContext;
  readonly node: Node;
  readonly nodeId: NodeId;
  readonly write: boolean;
  readonly wish: Wish;
  /** The kernel opens by itself, without a name to look up again (fs/fuse/ioctl.c): ESTALE would reach the caller. */
  readonly nameless: boolean;
}

/** The I/O state to open in; or the errno to answer: ESTALE where the kernel is to look again. */
export function routeOpen(core: Core, open: RoutedOpen): InodeIo | number {
  const { node, nodeId, wish } = open;
  const former = core.nodes.former(nodeId);
  const io = former?.io ?? (node.io ??= new InodeIo());
  if (!core.port.separatesOpens) return io;
  const arrival = core.reroutes.arrived(open.call.pid, node);
  const stays = arrival !== "first" || open.nameless;
  if (io.withheld > 0) {
    if (!stays) return wish === "observe" ? sendApart(core, open) : sendHome(core, open);
    // The first that is not withheld would bring pages to the others. "again": its id was withheld just now.
    if (isOnlyWithheld(io)) return arrival === "again" ? Errno.ESTALE : Errno.EACCES;
  }
  if (wish === "observe") return routeObserved(core, open, { io, stays });
  if (isTiedElsewhere(node, io)) return fromLowerReaders(core, open, { io, nameless: open.nameless || arrival === "nameless" });
  if (stays) return io;
  if (former !== undefined && (io.apart || isServedByItsOwn(node))) return sendHome(core, open);
  return MODE_TABLE[liveFor(node, io, wish)][wish] === "another node" ? part(core, open, io) : io;
}

/** An open whose bytes must pass us: by an id of its own. Without a name it joins others of the kind, or cannot be had. */
function routeObserved(core: Core, open: RoutedOpen, at: { io: InodeIo; stays: boolean }): InodeIo | number {
  const live = liveOf(at.io);
  if (at.stays) return live === "nothing" || live === "direct" ? at.io : Errno.EACCES;
  if (MODE_TABLE[live].observe === "another node" || core.reroutes.awaitsOther(open.call.pid, open.node, open.nodeId))
    return sendApart(core, open);
  return at.io;
}

function sendApart(core: Core, open: RoutedOpen): number {
  core.reroutes.begin(open.call.pid, open.node, true);
  return Errno.ESTALE;
}

/**
 * By the node's own id, or by a new one if that does not go with the open: it must not be sent on a second time, as the
 * kernel looks again but once.
 */
function sendHome(core: Core, open: RoutedOpen): number {
  const { node, wish } = open;
  const { io } = node;
  const isUnfit = needsNewId(node) || (io?.withheld ?? 0) > 0 || MODE_TABLE[liveOf(io)][wish] === "another node";
  if (isUnfit) giveNewId(core, node);
  core.reroutes.begin(open.call.pid, node, false);
  return Errno.ESTALE;
}

/**
 * By an id that readers of the lower file had, once they are gone, an open would have pages of its own, which do not follow
 * what is written by the node's. One comes so late, or by another name of the file, which the kernel still has for that id.
 */
function isServedByItsOwn({ io, others }: Node): boolean {
  return others !== undefined || (io !== undefined && io.handles.size > 0);
}

/**
 * An open that brings pages or passes us by, on an id of opens whose bytes must pass us: they keep the id, and the node gets
 * a new one.
 */
function part(core: Core, open: RoutedOpen, io: InodeIo): number {
  giveNewId(core, open.node);
  io.apart = true;
  open.node.apart ??= core.nodes.former(open.nodeId);
  core.journal?.apart(core.nodes.former(open.nodeId));
  core.reroutes.begin(open.call.pid, open.node, false);
  return Errno.ESTALE;
}

/**
 * A look-up found a node, whose entry is in `out`: if it is the look-up of an open that was sent apart, it leads to an id for
 * that open.
 */
export function followReroute(core: Core, call: CallContext, status: Status, out: EntryOut): Status {
  if (status !== 0 || out.nodeId === 0) return status;
  const node = core.nodes.get(out.nodeId);
  if (node === undefined || !core.reroutes.found(call.pid, node)) return status;
  const apart = freeApart(core, call.pid, node);
  core.reroutes.leadsTo(call.pid, apart.id);
  core.nodes.enterInstead(apart);
  out.nodeId = apart.id;
  out.attrTtlMs = 0;
  return status;
}

/** An id that nobody has anything open by, nor is on the way to. The kernel looks up twice: it is the same both times. */
function freeApart(core: Core, pid: number, node: Node): FormerId {
  const before = node.apart;
  const isFree = before?.io.handles.size === 0 && !core.reroutes.awaitsOther(pid, node, before.id);
  if (before !== undefined && isFree) return before;
  const apart = core.nodes.addId(node);
  apart.io.apart = true;
  node.apart = apart;
  core.journal?.apart(before);
  core.journal?.apart(apart);
  // What the kernel keeps of the node's attributes would not follow what is done by the other id.
  if (before === undefined) core.port.invalidateInode(node.id, -1, 0);
  return apart;
}

/** Gives the node another id; attributes that the kernel keeps for the old one would not follow what is done by the new one. */
export function giveNewId(core: Core, node: Node): void {
  const old = node.id;
  core.nodes.renumber(node, node.io ?? new InodeIo());
  core.port.invalidateInode(old, -1, 0);
}

/**
 * Readers pass through to the lower file while the object lies in the upper layer now. By the id it came with an open can
 * only join them, and read the upper file through us. That will do:
 * - for the kernel itself, which has no name to look up again;
 * - for a reader who came by a former id: ESTALE was answered already and no other name was found (/proc/self/fd). A
 *   writer cannot be helped there, since the kernel would open the lower file for writing, on a read-only mount: that
 *   ESTALE reaches the caller, and is counted.
 */
function fromLowerReaders(core: Core, open: RoutedOpen, at: { io: InodeIo; nameless: boolean }): InodeIo | number {
  const isFormer = core.nodes.former(open.nodeId) !== undefined;
  if (!open.write && (isFormer || at.nameless)) return at.io;
  if (!isFormer) giveNewId(core, open.node);
  if (at.nameless) core.staleReopens++;
  else core.reroutes.begin(open.call.pid, open.node, false);
  return Errno.ESTALE;
}

/** Is the node, by its own id, tied to a file of another layer than the one its object lies in? */
export function needsNewId(node: Node): boolean {
  return isTiedElsewhere(node, node.io);
}

function isTiedElsewhere(node: Node, io: InodeIo | undefined): boolean {
  return io !== undefined && io.passthrough > 0 && io.backing !== undefined && io.backing.layer !== node.dataLayer;
}
