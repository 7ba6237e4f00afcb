/** Negotiates INIT: a pure function of the kernel's offer and the features that the mount requests. */
import {
  type InitFlag,
  type InitOffer,
  type InitReply,
  initFlagNames,
  initFlagWords,
  OLDEST_MINOR,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
} from "@sluice/fuse-protocol";
import { Errno, FsError, type Negotiated } from "@sluice/vfs";

const PAGE_BYTES = 4096;
/** max_pages' own limit in the kernel (fs.fuse.max_pages_limit) is 256 by default; it lowers a larger one silently. */
const MAX_PAGES = 256;
/** Readahead and direct I/O requests in flight; at two thirds of them the device counts as congested, as in libfuse. */
export const MAX_BACKGROUND = 64;
const CONGESTION_THRESHOLD = 48;

/**
 * Requested if offered. Deliberately absent:
 * - WRITEBACK_CACHE: the kernel then refuses passthrough without a word.
 * - EXPLICIT_INVAL_DATA: files change below the page cache (passthrough writes by another node, shared mappings); the
 *   kernel notices by mtime and size with AUTO_INVAL_DATA, while the explicit kind would need a notification for each.
 * - DIRECT_IO_ALLOW_MMAP: a shared mapping of a direct handle silently makes the inode cached, and the next passthrough
 *   open of it fails with EIO.
 * - ASYNC_DIO: an asynchronous direct write (io_submit) then ends without the kernel dropping the pages and attributes that other
 *   readers loaded meanwhile (fs/fuse/file.c fuse_aio_complete): they would read old data for good. Without it such requests are
 *   served one after another; so are the parts of a direct transfer that is larger than one request.
 * - ALLOW_IDMAP: uid and gid then arrive as -1 on everything but creations.
 * - NO_OPEN_SUPPORT and NO_OPENDIR_SUPPORT need no request.
 * - SPLICE_*: replies are written from memory.
 */
const WANTED: readonly InitFlag[] = [
  "ASYNC_READ",
  "ATOMIC_O_TRUNC",
  "EXPORT_SUPPORT",
  "BIG_WRITES",
  "DONT_MASK",
  "AUTO_INVAL_DATA",
  "DO_READDIRPLUS",
  "READDIRPLUS_AUTO",
  "PARALLEL_DIROPS",
  "POSIX_ACL",
  "MAX_PAGES",
  "CACHE_SYMLINKS",
  "HANDLE_KILLPRIV_V2",
  "SETXATTR_EXT",
  "INIT_EXT",
  "HAS_IOCTL_DIR",
  "SECURITY_CTX",
  "CREATE_SUPP_GROUP",
  "HAS_EXPIRE_ONLY",
  "HAS_RESEND",
];

export type Handshake =
  | { readonly kind: "agreed"; readonly reply: InitReply; readonly negotiated: Negotiated }
  /** The kernel speaks a newer major: it gets ours, and asks again. */
  | { readonly kind: "ask-again" }
  | { readonly kind: "refused"; readonly error: FsError };

export interface RequestedFeatures {
  maxStackDepth: 0 | 1 | 2;
  maxWriteBytes: number;
  /** Request POSIX_LOCKS and FLOCK_LOCKS, both or none: the first needs a request at each close anyway. */
  locks: boolean;
  /** A ring is ready for requests: request OVER_IO_URING. The kernel then holds every request back until the ring is in use. */
  uring: boolean;
}

export function negotiate(offer: InitOffer, requested: RequestedFeatures): Handshake {
  if (offer.major > PROTOCOL_MAJOR) return { kind: "ask-again" };
  if (offer.major < PROTOCOL_MAJOR || offer.minor < OLDEST_MINOR) {
    const spoken = `${offer.major}.${offer.minor}`;
    const message = `the kernel speaks fuse protocol ${spoken}, too old: use Linux 5.4 or later (protocol ${PROTOCOL_MAJOR}.${OLDEST_MINOR})`;
    return { kind: "refused", error: new FsError(Errno.EPROTO, message) };
  }
  return agree(offer, requested);
}

function agree(offer: InitOffer, requested: RequestedFeatures): Handshake {
  const offered = new Set(initFlagNames(offer.flags, offer.flags2));
  const flags = WANTED.filter((flag) => offered.has(flag));
  const passthrough = requested.maxStackDepth > 0 && offered.has("PASSTHROUGH");
  if (passthrough) flags.push("PASSTHROUGH");
  const locks = requested.locks && offered.has("POSIX_LOCKS") && offered.has("FLOCK_LOCKS");
  if (locks) flags.push("POSIX_LOCKS", "FLOCK_LOCKS");
  if (requested.uring && offered.has("OVER_IO_URING")) flags.push("OVER_IO_URING");
  const maxStackDepth = passthrough ? requested.maxStackDepth : 0;
  const maxPages = Math.min(MAX_PAGES, Math.max(1, Math.ceil(requested.maxWriteBytes / PAGE_BYTES)));
  const maxWriteBytes = offered.has("MAX_PAGES") ? maxPages * PAGE_BYTES : Math.min(requested.maxWriteBytes, 32 * PAGE_BYTES);
  const minor = Math.min(PROTOCOL_MINOR, offer.minor);
  const reply: InitReply = {
    major: PROTOCOL_MAJOR,
    minor,
    maxReadaheadBytes: offer.maxReadaheadBytes,
    ...initFlagWords(flags),
    maxBackground: MAX_BACKGROUND,
    congestionThreshold: CONGESTION_THRESHOLD,
    maxWriteBytes,
    timeGranNs: 1,
    maxPages,
    maxStackDepth,
  };
  const negotiated: Negotiated = {
    protocol: { major: PROTOCOL_MAJOR, minor },
    maxStackDepth,
    maxWriteBytes,
    posixAcl: flags.includes("POSIX_ACL"),
    killprivV2: flags.includes("HANDLE_KILLPRIV_V2"),
    posixLocks: locks,
    flockLocks: locks,
    flags,
  };
  return { kind: "agreed", reply, negotiated };
}
