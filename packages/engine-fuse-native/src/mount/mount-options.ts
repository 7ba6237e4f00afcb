/** The option string for libfuse, and the mount options that it cannot have. */
import { Errno, FsError, type MountOptions } from "@sluice/vfs";

const MS = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, SYNCHRONOUS: 16, DIRSYNC: 128, NOATIME: 1024, RELATIME: 1 << 21 } as const;

/** libfuse would silently ignore the others. */
const WORDS: readonly (readonly [flag: number, word: string])[] = [
  [MS.RDONLY, "ro"],
  [MS.NOEXEC, "noexec"],
  [MS.SYNCHRONOUS, "sync"],
  [MS.DIRSYNC, "dirsync"],
  [MS.NOATIME, "noatime"],
];
const KNOWN = WORDS.reduce((all, [flag]) => all | flag, MS.NOSUID | MS.NODEV | MS.RELATIME);

/** The most that one request carries: 32 pages. */
export const MAX_IO_BYTES = 128 << 10;
/** The addon stores the mount point and the options in fields of this size. */
const FIELD_BYTES = 1024;

function escaped(value: string): string {
  return value.replace(/[\\,]/g, "\\$&");
}

/** A string for the addon must be UTF-8, and short enough for its field. `value` is a byte string. */
export function textOf(value: string, object: string): string {
  const text = Buffer.from(value, "latin1").toString();
  if (text.includes("\ufffd") || Buffer.byteLength(text) >= FIELD_BYTES) {
    throw new FsError(Errno.EINVAL, `${object} is not UTF-8 or longer than ${FIELD_BYTES - 1} bytes: use --engine devfuse`);
  }
  return text;
}

/**
 * The mount is nosuid and nodev in any case: fusermount has it so, and the creator of a file here is not known.
 * `asRoot` false: no access for other users, as with fusermount.
 * `autoUnmount`: a process of fusermount waits for ours to end, and then unmounts.
 * @throws FsError EINVAL for a mount flag that libfuse does not know.
 */
export function optionString(options: MountOptions, how: { asRoot: boolean; autoUnmount: boolean }): string {
  if ((options.flags & ~KNOWN) !== 0) {
    const flags = `0x${(options.flags & ~KNOWN).toString(16)}`;
    throw new FsError(Errno.EINVAL, `libfuse knows no mount option for the flags ${flags}: leave the option out, or use --engine devfuse`);
  }
  const words = [
    "default_permissions",
    "use_ino",
    "big_writes",
    `max_read=${MAX_IO_BYTES}`,
    "entry_timeout=1",
    "negative_timeout=0",
    // A change under one name of a file must show under its other names, each of which is an inode of its own to the kernel.
    "attr_timeout=0",
    `fsname=${escaped(textOf(options.source, "the mount's source"))}`,
    `subtype=${options.subtype}`,
    ...(options.allowOther && how.asRoot ? ["allow_other"] : []),
    ...WORDS.filter(([flag]) => (options.flags & flag) !== 0).map(([, word]) => word),
  ];
  if (how.autoUnmount) words.push("auto_unmount");
  const line = `-o${words.join(",")}`;
  return textOf(Buffer.from(line).toString("latin1"), "the list of mount options");
}
