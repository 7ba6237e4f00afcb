/** The capabilities and limits of this engine. The table in README.md is generated from this, and a test compares them. */
import type { EngineCapabilities } from "@sluice/vfs";

const NOT_IN_LIBFUSE = "libfuse 2.9 has no such callback";
const NO_FD = "the protocol's end is libfuse's, which gives it to nobody";

export const engineCapabilities: EngineCapabilities = {
  passthrough: { has: false, why: "libfuse 2.9 does not agree on it: every granted open is mediated, counted as not-negotiated" },
  callerIdentity: {
    has: false,
    why: "the addon passes on no uid, gid or pid: new objects belong to the daemon's user, without setuid and setgid bits, and a policy that looks at the caller is refused",
  },
  notifications: {
    has: false,
    why: `${NO_FD}: names live 1 s in the kernel's cache, attributes are asked for each time, and a policy that hides names is refused`,
  },
  interrupt: { has: false, why: "the addon does not pass interrupts on: a caller waits until its answer is there" },
  inode64: { has: false, why: "the addon passes on 32 bits: longer inode numbers are folded, so two files may have the same" },
  nanosecondTimes: { has: false, why: "the addon carries milliseconds, none before 1970" },
  singleTime: { has: false, why: "libfuse calls utimens only for both times: setting one of them is silently left out" },
  emptyChown: {
    has: false,
    why: "libfuse passes on no chown that names neither owner nor group: it moves no change time, clears no setuid and copies nothing up",
  },
  handleSurvivesUnlink: { has: true },
  handleSurvivesDirectory: {
    has: false,
    why: "libfuse finds no path any more: an open file whose directory was removed gives ENOENT on read and write, as does what is asked of an open directory, FIFO or device that was removed",
  },
  atomicReplace: {
    has: false,
    why: "libfuse first renames an open target to a hidden name: a server killed in between leaves that and not the new content under the name",
  },
  hardLinksShareInode: {
    has: false,
    why: "libfuse makes one inode a path: written data shows under another name once that is reopened, locks do not meet, and a file is judged by the other names that links gave it in the mount, not by those that it has in the layers",
  },
  renameFlags: { has: false, why: "libfuse 2.9 does not know RENAME2: RENAME_NOREPLACE, EXCHANGE and WHITEOUT give EINVAL" },
  createFlags: {
    has: false,
    why: "the addon drops them: an open that creates counts as reading and writing",
  },
  fallocate: { has: false, why: "the addon does not register it: EOPNOTSUPP" },
  seekHole: { has: false, why: `${NOT_IN_LIBFUSE}: the whole file counts as data` },
  copyFileRange: { has: false, why: `${NOT_IN_LIBFUSE}: the kernel copies by reading and writing` },
  tmpfile: { has: false, why: `${NOT_IN_LIBFUSE}: O_TMPFILE gives EOPNOTSUPP` },
  ioctl: { has: false, why: "the addon does not register it: file flags (lsattr, chattr) are not supported" },
  syncfs: { has: false, why: `${NOT_IN_LIBFUSE}: syncfs(2) reaches the kernel only` },
  posixAcl: {
    has: false,
    why: "libfuse 2.9 does not agree on them: they are stored and not enforced; the group class of the mode holds, and the umask counts beside a default ACL",
  },
  suidAndDevices: { has: false, why: "fusermount mounts nosuid and nodev" },
  clearsPrivileges: {
    has: false,
    why: "left to the kernel, which keeps setgid without group execute and drops file capabilities before a mapped write",
  },
  byteNames: { has: false, why: "the addon decodes names as UTF-8: others are left out of listings and give EILSEQ" },
  cachePerOpen: { has: false, why: "the addon has no flags in the reply of open: pages are dropped at each open" },
  keeper: { has: false, why: NO_FD },
  upgrade: { has: false, why: "without a keeper the mount ends with its server" },
};
