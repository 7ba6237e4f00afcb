/** The known causes of figures that fall short. The report shows a cause only for a short figure; without an entry it says "not known". */

const FLUSH =
  "an open and close takes three requests (OPEN, FLUSH, RELEASE), with fuse-overlayfs two: with an upper layer the daemon holds the locks, and only FLUSH tells that a process' locks end; --locks kernel needs no FLUSH";
const ONE_THREAD = "one thread answers; the peer has one per processor";
const JUST_STARTED =
  'V8 compiles the server\'s code while it answers the first thousands of requests of a fresh mount; the figure without "first pass" is that of a later pass';
const ALONE = "a single client and the server have a processor each; 64 clients share them with the one answering thread";
const KERNEL_ANSWERS = "the kernel answers it itself, on every subject";
const NO_NOWAIT = "the kernel's FUSE file has no NOWAIT, so each asynchronous request goes to a worker";
const GATHERED =
  "the kernel gathers the peer's writes (its writeback cache is on), which the kernel does not allow on a mount with passthrough";
const COPIES = "each request goes through the event loop, and through a worker if it may wait; the peer's threads read and write directly";

const NO_REQUEST =
  "no request reaches the server after the open: only the kernel and the disk remain, which vary by more than that between rounds";
const SEVERAL_ASK = "several threads or processes ask at once, and one thread answers";
const ONE_REQUEST =
  "one request each, for every subject: the scheduler's choice of processors for server and client matters more than the work";
const WEIGHT =
  "a short request is mostly the switches between client and server; opens, creations and copy-ups are more requests and system calls than the peer's (as with copy-up and create above)";

/** By phase, for figures on names, attributes and work. */
const BY_PHASE: Readonly<Record<string, string>> = {
  "open-close": FLUSH,
  "open-hot": FLUSH,
  "open-read": FLUSH,
  "open-read-cold": FLUSH,
  create: `${FLUSH}; the kernel asks for the directory's attributes after each change in it; and each file created for writing is registered for passthrough`,
  "create-write": FLUSH,
  "stat-warm": KERNEL_ANSWERS,
  "missing-known": KERNEL_ANSWERS,
  missing: "fuse-overlayfs answers from memory after it listed a directory; Sluice asks each layer",
  mkdir: ONE_REQUEST,
  chmod: ONE_REQUEST,
  rename: ONE_REQUEST,
  unlink: ONE_REQUEST,
  readdir: "the kernel has the list and only sends the opening and closing: each run has another subject ahead",
  "copy-up":
    "the kernel's format takes more system calls (origin, impure parent, times of the parent), a copy is made durable before it appears, and a file opened for writing is registered; the peer does none of this",
  "copy-up-large": "the copy is made durable before it appears; the peer's is not",
  "stat-cold": ONE_REQUEST,
  "walk-cold":
    "the server checks a name twice in its layer (statx, and if it is a metadata-only copy) and makes a node for it, in one thread",
  "git-clone": FLUSH,
  "git-checkout": FLUSH,
  untar: FLUSH,
  search: FLUSH,
  "git-status": SEVERAL_ASK,
  build: SEVERAL_ASK,
  "npm-ci": SEVERAL_ASK,
  imports: FLUSH,
  sqlite: "each transaction locks, syncs and unlocks by requests: with an upper layer the daemon holds the locks",
};

const WRITES = new Set(["seq-write", "rand-write", "mmap-write", "uring-write"]);

/** By figure, if the phase does not matter. These take precedence. */
const BY_FIGURE: Readonly<Record<string, string>> = {
  "granted, against mediated":
    "O_DIRECT of a granted file goes to the disk; mediated data goes through the layer's page cache: the figure measures the disk",
  "granted sequential writes, against the best FUSE peer": "both wait for the disk: the figure measures its speed",
  "granted random writes, against the best FUSE peer": "the peer writes by large requests from its page cache",
  "granted sequential writes, against passthrough_hp":
    "a write of 1 MiB hides its one additional request (GETXATTR), which the figure was meant to show",
  "the same by io_uring, geometric mean":
    "rings gain by placement: a thread on each processor answers where the request was made; one event loop keeps little of this gain (transports.md)",
  "names and attributes, geometric mean": "the short phases above, and those that the kernel answers itself, which are 1 for every subject",
  "names and attributes with idle polling off, geometric mean": WEIGHT,
  "names and attributes beside busy processors, geometric mean": WEIGHT,
  "cached stat, 128 layers against 1": "the kernel answers it itself, with any number of layers: this is the variation between rounds",
  "64 clients against the best FUSE peer at 64: stat, not cached": ONE_THREAD,
  "64 clients against the best FUSE peer at 64: open, read, close": ONE_THREAD,
  "64 clients against the best FUSE peer at 64: stat, not cached, first pass": JUST_STARTED,
  "64 clients against the best FUSE peer at 64: open, read, close, first pass": JUST_STARTED,
  "64 clients against 1: stat, not cached": ALONE,
  "64 clients against 1: open, read, close": ALONE,
  "time to mount": "Node starts twice, because a process drops privilege by executing itself again: the processor's speed decides",
  "memory a known file": "the reserves of malloc and the heap are added to the size of a node",
  "1,000,000 files walked, memory in all": "the heap reserves room while it grows",
  "pause for garbage, p99.9":
    "a handful among some hundred pauses collect the old generation: marking from its roots, and the weak references of the code, take longer than that",
};

/** "" if the cause is unknown. `phase` is "" for a figure without one. */
export function causeOf(figure: string, phase: string): string {
  if (BY_FIGURE[figure] !== undefined) return BY_FIGURE[figure];
  if (figure.startsWith("mediated")) return WRITES.has(phase) ? GATHERED : COPIES;
  if (figure.startsWith("granted") && phase.startsWith("uring-")) return NO_NOWAIT;
  return figure.startsWith("granted") ? NO_REQUEST : (BY_PHASE[phase] ?? "");
}
