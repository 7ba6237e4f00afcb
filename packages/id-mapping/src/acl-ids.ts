/** The ids inside a POSIX ACL's extended attribute (struct posix_acl_xattr_header and entries, little-endian). */
import type { IdMapping } from "./id-map.js";

const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const ID_AT = 4;
const VERSION = 2;
const TAG = { USER: 0x02, GROUP: 0x08 } as const;

export function isAclName(name: string): boolean {
  return name === "system.posix_acl_access" || name === "system.posix_acl_default";
}

function isAcl(value: DataView): boolean {
  return value.byteLength >= HEADER_BYTES && value.getUint32(0, true) === VERSION && (value.byteLength - HEADER_BYTES) % ENTRY_BYTES === 0;
}

function each(value: Uint8Array, change: (tag: number, id: number) => number | undefined): boolean {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  // Anything but an ACL is for others to refuse.
  if (!isAcl(view)) return true;
  for (let at = HEADER_BYTES; at < view.byteLength; at += ENTRY_BYTES) {
    const tag = view.getUint16(at, true);
    if (tag !== TAG.USER && tag !== TAG.GROUP) continue;
    const id = change(tag, view.getUint32(at + ID_AT, true));
    if (id === undefined) return false;
    view.setUint32(at + ID_AT, id, true);
  }
  return true;
}

/** In place. */
export function showAcl(value: Uint8Array, mapping: IdMapping): void {
  each(value, (tag, id) => (tag === TAG.USER ? mapping.uids : mapping.gids).toShown(id));
}

/** A copy with the layers' ids; undefined if one of them has none. */
export function aclForLayer(value: Uint8Array, mapping: IdMapping): Uint8Array | undefined {
  const copy = Uint8Array.from(value);
  return each(copy, (tag, id) => (tag === TAG.USER ? mapping.uids : mapping.gids).toLayer(id)) ? copy : undefined;
}
