/**
 * Ids that this process' user namespace has not. That of an ordinary user has one user and one group. The kernel shows every other id there as
 * the overflow id, and in access control lists as no id, and it takes neither back:
 *
 * - Nobody may change a file in a mount of the namespace if its group has no id there, not even the file's owner (HAS_UNMAPPED_ID in
 *   fs/namei.c: EACCES and EOVERFLOW). So files of the namespace's users are shown with this process' group.
 * - A list with such an entry cannot be read or copied (EINVAL). So these entries are left out.
 *
 * The access to a layer's file stays the kernel's to judge, by its real group and list.
 */
import { readFileSync } from "node:fs";
import { StatWord } from "@sluice/native";
import { ACCESS_ACL, ACL, ACL_TAG, type Attr, DEFAULT_ACL } from "@sluice/vfs";

/** No id is this number. */
const NONE = -1;

/** The overflow id, if it means an id that the namespace has not. */
function overflowId(kind: "uid" | "gid"): number {
  try {
    const overflow = Number(readFileSync(`/proc/sys/kernel/overflow${kind}`, "latin1"));
    const ranges = readFileSync(`/proc/self/${kind}_map`, "latin1").split("\n").filter(Boolean);
    const isMapped = ranges.some((range) => {
      const [first = 0, , count = 0] = range.trim().split(/ +/).map(Number);
      return overflow >= first && overflow - first < count;
    });
    return isMapped ? NONE : overflow;
  } catch {
    return NONE;
  }
}

/** The number that stands for every group that the namespace has not; -1 if it has this one. */
export const foreignGroup = overflowId("gid");
const foreignUser = overflowId("uid");
const ownGroup = process.getegid?.() ?? 0;

/** Replaces the group of a file if it has no id here, and the file's owner has one. */
export function showGroup(attr: Attr): void {
  if (attr.gid === foreignGroup && attr.uid !== foreignUser) attr.words[StatWord.gid] = ownGroup;
}

const NO_ID = 0xffff_ffff;

/** Takes the entries without an id out of an access control list. @returns the length of the rest; that of any other attribute as it is */
export function showAcl(attribute: string, value: Buffer, length: number): number {
  if ((foreignUser === NONE && foreignGroup === NONE) || (attribute !== ACCESS_ACL && attribute !== DEFAULT_ACL)) return length;
  let shown = Math.min(length, ACL.HEADER_BYTES);
  for (let at = ACL.HEADER_BYTES; at + ACL.ENTRY_BYTES <= length; at += ACL.ENTRY_BYTES) {
    const tag = value.readUInt16LE(at);
    if ((tag === ACL_TAG.USER || tag === ACL_TAG.GROUP) && value.readUInt32LE(at + ACL.ID_AT) === NO_ID) continue;
    value.copyWithin(shown, at, at + ACL.ENTRY_BYTES);
    shown += ACL.ENTRY_BYTES;
  }
  return shown;
}
