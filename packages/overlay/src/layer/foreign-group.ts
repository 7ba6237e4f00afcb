/**
 * The group of files whose own group has no id in this process' user namespace, as that of an ordinary user, which has one group. The kernel
 * shows each such group as the overflow id, and lets nobody change a file in a mount of the namespace if its group has no id there, not even
 * the file's owner (HAS_UNMAPPED_ID in fs/namei.c: EACCES and EOVERFLOW). So files of the namespace's users are shown with this process' group.
 * The access to a layer's file stays the kernel's to judge, by its real group.
 */
import { readFileSync } from "node:fs";
import { StatWord } from "@sluice/native";
import type { Attr } from "@sluice/vfs";

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

const foreignGroup = overflowId("gid");
const foreignUser = overflowId("uid");
const ownGroup = process.getegid?.() ?? 0;

/** Replaces the group of a file if it has no id here, and the file's owner has one. */
export function showGroup(attr: Attr): void {
  if (attr.gid === foreignGroup && attr.uid !== foreignUser) attr.words[StatWord.gid] = ownGroup;
}
