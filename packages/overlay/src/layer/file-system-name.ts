/** Names of file systems by their statfs magic (include/uapi/linux/magic.h), for people. */
const NAMES: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x01021994: "tmpfs",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x794c7630: "overlay",
  0x65735546: "fuse",
  0x6969: "nfs",
  0xfe534d42: "smb2",
  0x2fc12fc1: "zfs",
  0xf2f52010: "f2fs",
  0x9fa0: "proc",
  0x62656572: "sysfs",
  0x858458f6: "ramfs",
  0x73717368: "squashfs",
  0xe0f5e1e2: "erofs",
  0x01021997: "9p",
  0x6a656a63: "virtiofs",
  0xca451a4e: "bcachefs",
};

export function fileSystemName(magic: number): string {
  return NAMES[magic >>> 0] ?? `0x${(magic >>> 0).toString(16)}`;
}
