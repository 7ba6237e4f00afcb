/**
 * Why a figure falls short where it does, as far as it was looked into. A cause is said of a figure only where a run found it
 * short; one without an entry is said to be not known.
 */

const FLUSH =
  "three requests an open and close (OPEN, FLUSH, RELEASE) where fuse-overlayfs has two: locks are the daemon's where there is an upper layer, and only FLUSH tells that a process' locks end; --locks kernel has none";
const ONE_THREAD = "one thread answers, where the peer has as many as there are processors";
const ALONE = "one client alone has a processor to itself, and the server another; 64 share them with the one thread that answers";
const KERNEL_ANSWERS = "the kernel answers it alone, on each of them";
const NO_NOWAIT = "the kernel's FUSE file has no NOWAIT: each asynchronous request goes to a worker";
const GATHERED =
  "the peer has the kernel gather writes (its writeback cache is on), which the kernel does not allow on a mount with passthrough";
const COPIES =
  "each request goes through the event loop, and through a worker where it may wait; the peer's threads read and write at once";

const NO_REQUEST =
  "no request reaches the server once the file is open: what is left is the kernel's own way and the disk, which differ by more than that from round to round";
const SEVERAL_ASK = "several threads or processes ask at once, and one thread answers";
const ONE_REQUEST =
  "one request each, for every subject: where the scheduler wakes server and client, on one processor or across, counts for more than the work";

/** By phase, for figures on names, attributes and work. */
const BY_PHASE: Readonly<Record<string, string>> = {
  "open-close": FLUSH,
  "open-hot": FLUSH,
  "open-read": FLUSH,
  "open-read-cold": FLUSH,
  create: `${FLUSH}; the kernel asks for the directory's attributes after each change in it; and what is made for writing is registered for passthrough each time`,
  "create-write": FLUSH,
  "stat-warm": KERNEL_ANSWERS,
  "missing-known": KERNEL_ANSWERS,
  missing: "fuse-overlayfs answers from memory once it has listed a directory; here each layer is asked",
  mkdir: ONE_REQUEST,
  chmod: ONE_REQUEST,
  rename: ONE_REQUEST,
  unlink: ONE_REQUEST,
  readdir: "the kernel has the list and asks for nothing but the opening and closing: which subject is ahead is another one in each run",
  "copy-up":
    "the kernel's format takes more system calls (origin, impure parent, times of the parent), a copy is made durable before it is shown, and what is opened for writing is registered; the peer does none of it",
  "copy-up-large": "the copy is made durable before it is shown; the peer's is not",
  "stat-cold": ONE_REQUEST,
  "walk-cold":
    "a name is looked at twice in its layer (statx, and whether it is a copy of metadata alone) and becomes a node, in one thread",
  "git-clone": FLUSH,
  "git-checkout": FLUSH,
  untar: FLUSH,
  search: FLUSH,
  "git-status": SEVERAL_ASK,
  build: SEVERAL_ASK,
  "npm-ci": SEVERAL_ASK,
  imports: FLUSH,
  sqlite: "each transaction locks, syncs and unlocks by requests: locks are the daemon's where there is an upper layer",
};

const WRITES = new Set(["seq-write", "rand-write", "mmap-write", "uring-write"]);

/** By figure, where the phase does not matter; asked before. */
const BY_FIGURE: Readonly<Record<string, string>> = {
  "granted, against mediated":
    "O_DIRECT of a granted file goes to the disk, what is mediated is read and written through the layer's page cache: the disk is what is measured, not the way",
  "granted sequential writes, against the best FUSE peer":
    "on a disk both wait for it: how fast it takes what is written is what is measured",
  "granted random writes, against the best FUSE peer": "the peer writes by large requests from pages it keeps in its cache",
  "granted sequential writes, against passthrough_hp":
    "a write of 1 MiB hides the one request it has beside (GETXATTR), which is what the figure was set against",
  "the same by io_uring, geometric mean":
    "the gain of rings is one of place: a thread on each processor answers where the request was made; one event loop keeps little of it (transports.md)",
  "names and attributes, geometric mean":
    "the phases above that are short, and those that the kernel answers alone, which are 1 for everybody",
  "cached stat, 128 layers against 1": "the kernel answers it alone, however many layers there are: rounds differ by that",
  "64 clients against the best FUSE peer at 64: stat, not cached": ONE_THREAD,
  "64 clients against the best FUSE peer at 64: open, read, close": ONE_THREAD,
  "64 clients against 1: stat, not cached": ALONE,
  "64 clients against 1: open, read, close": ALONE,
  "time to mount": "Node starts twice, since a process gives up its privilege by starting anew: as fast as the processor is",
  "memory a known file": "what malloc and the heap keep in reserve comes on top of a node's share",
  "1,000,000 files walked, memory in all": "the heap keeps room in reserve while it grows",
  "pause for garbage, p99.9":
    "a handful among some hundred collect the old generation: what is found anew from its roots, and the weak references of the code, take more than that",
};

/** "" where nothing is known. `phase` is "" for a figure that has none. */
export function causeOf(figure: string, phase: string): string {
  if (BY_FIGURE[figure] !== undefined) return BY_FIGURE[figure];
  if (figure.startsWith("mediated")) return WRITES.has(phase) ? GATHERED : COPIES;
  if (figure.startsWith("granted") && phase.startsWith("uring-")) return NO_NOWAIT;
  return figure.startsWith("granted") ? NO_REQUEST : (BY_PHASE[phase] ?? "");
}
