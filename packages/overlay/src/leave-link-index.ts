/**
 * Makes ordinary files of the upper layer of those in its index of hard links, before it becomes a lower layer: another layer has an index of
 * its own. That is possible if each of their names is in the upper layer, since then only the index itself is lost with its entries.
 */
import { inTurns } from "@sluice/vfs";
import { linkUp } from "./copy-up/link-up.js";
import { parseDirents } from "./layer/dirents.js";
import type { RealDir } from "./layer/host-layer.js";
import { closeFd, openDirectory, readXattr, sys, upkeep } from "./layer/system-calls.js";
import type { Node } from "./node/node.js";
import type { OverlayContext } from "./overlay-context.js";

/** The mark of an entry whose file has one link more than callers see, which is the entry itself. */
const ALL_NAMES = "U-1";
const bytes = Buffer.alloc(8192);
const value = Buffer.alloc(16);

function entriesOf(index: RealDir): string[] | undefined {
  const fd = openDirectory(index.fd);
  if (fd < 0) return undefined;
  const names: string[] = [];
  let length: number;
  while ((length = sys.getdents64(fd, bytes)) > 0) {
    parseDirents(bytes, length, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
  }
  closeFd(fd);
  return length < 0 ? undefined : names;
}

/** False if a name of one of the files leads to it by the index alone: then no entry is lost. */
export async function leaveLinkIndex(core: OverlayContext): Promise<boolean> {
  const { linkIndex } = core;
  if (linkIndex === undefined) return true;
  const indexed = [...core.nodes.linkedNodes()].filter((node) => node.indexed !== undefined);
  for (const node of indexed) if ((await linkUp(core, node)) !== 0) return false;
  if (indexed.some((node) => node.parent?.upperDir === undefined)) return false;
  return inTurns(leave(core, linkIndex, indexed));
}

function* leave(core: OverlayContext, index: RealDir, indexed: readonly Node[]): Generator<void, boolean> {
  const names = entriesOf(index);
  if (names === undefined) return false;
  for (const name of names) {
    const length = readXattr(index.fd, name, core.marks.nlink, value);
    if (length < 0 || value.toString("latin1", 0, length) !== ALL_NAMES) return false;
    yield;
  }
  for (const node of indexed) {
    node.indexed = undefined;
    node.dir = node.parent?.upperDir;
    node.realName = node.name;
    yield;
  }
  for (const name of names) {
    upkeep.unlinkat(index.fd, name, 0);
    yield;
  }
  return true;
}
