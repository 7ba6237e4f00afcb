/** Entries of access control lists that a user namespace has no ids for: see packages/overlay/src/layer/foreign-ids.ts. */

/** struct posix_acl_xattr_header and posix_acl_xattr_entry, little-endian. */
const [HEADER_BYTES, ENTRY_BYTES, ID_AT] = [4, 8, 4];
const TAG = { USER: 0x02, GROUP: 0x08, MASK: 0x10 } as const;

export const ACCESS_ACL = "system.posix_acl_access";
export const DEFAULT_ACL = "system.posix_acl_default";

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
  for (let at = HEADER_BYTES; at + ENTRY_BYTES <= acl.length; at += ENTRY_BYTES) {
    const bytes = acl.subarray(at, at + ENTRY_BYTES);
    entries.push({ tag: bytes.readUInt16LE(0), id: bytes.readUInt32LE(ID_AT), bytes });
  }
  return entries;
}

/** In the namespace they have no id. */
function foreignEntries(acl: Buffer, own: Owner): Entry[] {
  return entriesOf(acl).filter(({ tag, id }) => (tag === TAG.USER && id !== own.uid) || (tag === TAG.GROUP && id !== own.gid));
}

export const hasForeignEntries = (acl: Buffer, own: Owner): boolean => foreignEntries(acl, own).length > 0;

/** The list with the foreign entries of its original; undefined if it has them, or somebody replaced it by one that can have no entries. */
export function withForeignEntries(acl: Buffer, original: Buffer, own: Owner): Buffer | undefined {
  const present = entriesOf(acl);
  const missing = foreignEntries(original, own).filter(({ tag, id }) => !present.some((one) => one.tag === tag && one.id === id));
  if (missing.length === 0 || !present.some(({ tag }) => tag === TAG.MASK)) return undefined;
  const all = [...present, ...missing].sort((one, other) => one.tag - other.tag || one.id - other.id);
  return Buffer.concat([acl.subarray(0, HEADER_BYTES), ...all.map(({ bytes }) => bytes)]);
}
