/** A recorded name of a node leads to its object in the layers, whose directory is restored already. */
import { NodeFlag, type NodeRecords } from "@sluice/journal";
import { type Attr, S } from "@sluice/vfs";
import type { Journaled } from "../journal/intents.js";
import { find } from "../merge/find.js";
import type { MergedLayers } from "../merge/merged-layers.js";
import { place, placeInIndex, rememberUpperLink } from "../node/admit.js";
import { Found } from "../node/found.js";
import type { NodeStore } from "../node/known-paths.js";
import { lookUpIndex } from "../node/link-index.js";
import type { Dentry, Node } from "../node/node.js";

/** The nodes, and the layers that their names lead into. */
export type PlacingContext = NodeStore & MergedLayers & Journaled;

const found = new Found();

/** Gives the node of the record `node.slot` its object. False if none of its kind is at this name. */
export function placeByName(core: PlacingContext, records: NodeRecords, node: Node, { parent, name }: Dentry): boolean {
  if (parent.fd >= 0 || find(core, parent, name, found) !== 0 || found.kind !== node.kind) return false;
  const lowerKey = lowerKeyOf(records, node.slot);
  if (records.has(node.slot, NodeFlag.linked)) {
    const { lo, hi } = records.linkOf(node.slot);
    node.linkKey = hi * 2 ** 32 + lo;
  }
  const indexed = found.kind !== S.IFDIR && found.attr.nlink > 1 ? lookUpIndex(core, found, name) : undefined;
  if (indexed !== undefined) placeInIndex(core, node, { found, indexed, name });
  else place(core, node, name, found);
  if (lowerKey === undefined) return true;
  if (!node.inUpper) node.lowerLinkKey = lowerKey;
  else bookCopied(core, node, { attr: indexed?.attr ?? found.attr, partedKey: indexed === undefined ? lowerKey : undefined });
  return true;
}

/** The key of the lower file with several names, as in `NodeTable.lowerLinks`; undefined if the record is not of such a file. */
export function lowerKeyOf(records: NodeRecords, slot: number): string | undefined {
  if (!records.has(slot, NodeFlag.lowerLinked)) return undefined;
  const { lo, hi, device } = records.linkOf(slot);
  return `${device}:${hi}:${lo}`;
}

/** Notes that a further name of an indexed file is a lower one: the process ended before each name had its link in the upper layer. */
export function lookForBareName(core: PlacingContext, { indexed }: Node, { parent, name }: Dentry): void {
  if (indexed === undefined || indexed.bareNames || parent.fd >= 0) return;
  indexed.bareNames = find(core, parent, name, found) === 0 && found.dir?.layer.writable === false;
}

/** It was copied up: parted from the lower file with a key, or, perhaps without the booking of it, to the index of hard links. */
function bookCopied(core: PlacingContext, node: Node, { attr, partedKey }: { attr: Attr; partedKey: string | undefined }): void {
  if (partedKey !== undefined) core.nodes.markParted(node, partedKey);
  if (attr.nlink > 1) rememberUpperLink(core, node, attr);
  else if (partedKey === undefined) core.journal?.lowerLinked(node, undefined);
}
