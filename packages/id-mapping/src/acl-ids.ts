/** The ids inside a POSIX ACL's extended attribute. */
import { ACCESS_ACL, ACL, ACL_TAG, DEFAULT_ACL } from "@sluice/vfs";
import type { IdMapping } from "./id-map.js";

const VERSION = 2;

export function isAclName(name: string): boolean {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

function isAcl(value: DataView): boolean {
  return (
    value.byteLength >= ACL.HEADER_BYTES &&
    value.getUint32(0, true) === VERSION &&
    (value.byteLength - ACL.HEADER_BYTES) % ACL.ENTRY_BYTES === 0
  );
}

function each(value: Uint8Array, change: (tag: number, id: number) => number | undefined): boolean {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  // Anything but an ACL is for others to refuse.
  if (!isAcl(view)) return true;
  for (let at = ACL.HEADER_BYTES; at < view.byteLength; at += ACL.ENTRY_BYTES) {
    const tag = view.getUint16(at, true);
    if (tag !== ACL_TAG.USER && tag !== ACL_TAG.GROUP) continue;
    const id = change(tag, view.getUint32(at + ACL.ID_AT, true));
    if (id === undefined) return false;
    view.setUint32(at + ACL.ID_AT, id, true);
  }
  return true;
}

/** In place. */
export function showAcl(value: Uint8Array, mapping: IdMapping): void {
  each(value, (tag, id) => (tag === ACL_TAG.USER ? mapping.uids : mapping.gids).toShown(id));
}

/** A copy with the layers' ids; undefined if one of them has none. */
export function aclForLayer(value: Uint8Array, mapping: IdMapping): Uint8Array | undefined {
  const copy = Uint8Array.from(value);
  return each(copy, (tag, id) => (tag === ACL_TAG.USER ? mapping.uids : mapping.gids).toLayer(id)) ? copy : undefined;
}
