/** Entries of access control lists that a user namespace has no ids for: see packages/overlay/src/layer/foreign-ids.ts. */
import { ACL, ACL_TAG } from "@sluice/vfs";

interface Owner {
  uid: number;
  gid: number;
}

interface Entry {
  tag: number;
  id: number;
  bytes: Buffer;
}

function entriesOf(acl: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = ACL.HEADER_BYTES; at + ACL.ENTRY_BYTES <= acl.length; at += ACL.ENTRY_BYTES) {
    const bytes = acl.subarray(at, at + ACL.ENTRY_BYTES);
    entries.push({ tag: bytes.readUInt16LE(0), id: bytes.readUInt32LE(ACL.ID_AT), bytes });
  }
  return entries;
}

/** In the namespace they have no id. */
function foreignEntries(acl: Buffer, own: Owner): Entry[] {
  return entriesOf(acl).filter(({ tag, id }) => (tag === ACL_TAG.USER && id !== own.uid) || (tag === ACL_TAG.GROUP && id !== own.gid));
}

export const hasForeignEntries = (acl: Buffer, own: Owner): boolean => foreignEntries(acl, own).length > 0;

/** The list with the foreign entries of its original; undefined if it has them, or somebody replaced it by one that can have no entries. */
export function withForeignEntries(acl: Buffer, original: Buffer, own: Owner): Buffer | undefined {
  const present = entriesOf(acl);
  const missing = foreignEntries(original, own).filter(({ tag, id }) => !present.some((one) => one.tag === tag && one.id === id));
  if (missing.length === 0 || !present.some(({ tag }) => tag === ACL_TAG.MASK)) return undefined;
  const all = [...present, ...missing].sort((one, other) => one.tag - other.tag || one.id - other.id);
  return Buffer.concat([acl.subarray(0, ACL.HEADER_BYTES), ...all.map(({ bytes }) => bytes)]);
}
