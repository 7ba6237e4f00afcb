/** The figures the project set itself, as data. figures.ts holds the results to them. */

/** Every phase named: how many times as fast `subject` must be as `against`. "peers" is the fastest FUSE peer of that phase. */
export interface PhaseFigure {
  what: string;
  phases: readonly string[] | "metadata" | "data" | "work";
  subject: string;
  against: string;
  /** 0: told, and held to nothing. */
  atLeast: number;
  /** Judged as one: the geometric mean over the phases. */
  mean?: boolean;
  /** Of the part of the run in which other programs work. */
  busy?: boolean;
}

const CACHED_DATA = ["seq-read", "rand-read", "seq-write", "rand-write", "mmap-read", "mmap-write"];
const SEQUENTIAL = ["seq-read", "seq-write"];
const URING = ["uring-read", "uring-write"];
const granted = { subject: "sluice-granted" } as const;
const plain = { subject: "sluice" } as const;

export const PHASE_FIGURES: readonly PhaseFigure[] = [
  { what: "granted data path, against kernel overlayfs", phases: CACHED_DATA, ...granted, against: "overlayfs", atLeast: 0.97 },
  { what: "granted data path, sequential, against native", phases: SEQUENTIAL, ...granted, against: "native", atLeast: 0.9 },
  {
    what: "granted data path, against passthrough_hp",
    phases: [...CACHED_DATA, ...URING],
    ...granted,
    against: "passthrough_hp",
    atLeast: 1,
  },
  { what: "granted random writes, against the best FUSE peer", phases: ["rand-write"], ...granted, against: "peers", atLeast: 10 },
  { what: "granted sequential writes, against the best FUSE peer", phases: ["seq-write"], ...granted, against: "peers", atLeast: 3 },
  { what: "granted random writes, against passthrough_hp", phases: ["rand-write"], ...granted, against: "passthrough_hp", atLeast: 10 },
  { what: "granted sequential writes, against passthrough_hp", phases: ["seq-write"], ...granted, against: "passthrough_hp", atLeast: 3 },
  { what: "granted, against mediated", phases: ["direct-rand-read"], ...granted, against: "sluice-mediated", atLeast: 2 },
  { what: "granted, against mediated", phases: ["direct-seq-write"], ...granted, against: "sluice-mediated", atLeast: 3 },
  { what: "mediated data path, against fuse-overlayfs", phases: "data", subject: "sluice-mediated", against: "fuse-overlayfs", atLeast: 1 },
  { what: "names and attributes, against the best FUSE peer", phases: "metadata", ...plain, against: "peers", atLeast: 1 },
  { what: "names and attributes, geometric mean", phases: "metadata", ...plain, against: "peers", atLeast: 1.3, mean: true },
  {
    what: "the same by io_uring, geometric mean",
    phases: "metadata",
    subject: "sluice-uring",
    against: "peers",
    atLeast: 2,
    mean: true,
  },
  {
    what: "names and attributes with idle polling off, geometric mean",
    phases: "metadata",
    subject: "sluice-halting",
    against: "peers",
    atLeast: 1.3,
    mean: true,
  },
  {
    what: "names and attributes beside busy processors, geometric mean",
    phases: "metadata",
    ...plain,
    against: "peers",
    atLeast: 1.2,
    mean: true,
    busy: true,
  },
  { what: "cached stat, against kernel overlayfs", phases: ["stat-warm"], ...plain, against: "overlayfs", atLeast: 0.95 },
  { what: "open with a kept grant, against kernel overlayfs", phases: ["open-close"], ...granted, against: "overlayfs", atLeast: 0 },
  { what: "real work, against the best FUSE peer", phases: "work", ...plain, against: "peers", atLeast: 1 },
  { what: "real work, geometric mean, against kernel overlayfs", phases: "work", ...plain, against: "overlayfs", atLeast: 0, mean: true },
];

/** A measured amount that may be no more than `most`. */
export interface Limit {
  what: string;
  of: "scale" | "costs";
  /** Of the point, with the amount for a point of a curve. */
  name: string;
  at?: number;
  subject: string;
  most: number;
  unit: string;
}

const MILLION = 1_000_000;

export const LIMITS: readonly Limit[] = [
  { what: "memory a known file", of: "scale", name: "memory a file", at: MILLION, ...plain, most: 250, unit: "bytes" },
  { what: "1,000,000 files walked, memory in all", of: "scale", name: "memory in all", at: MILLION, ...plain, most: 400e6, unit: "bytes" },
  { what: "growth under churn", of: "costs", name: "growth under churn", ...plain, most: 5, unit: "%" },
  { what: "time to mount", of: "costs", name: "time to mount", ...plain, most: 1000, unit: "ms" },
  { what: "processor time at rest", of: "costs", name: "processor time at rest", ...plain, most: 0.1, unit: "%" },
  { what: "pause for garbage, p99.9", of: "costs", name: "pause for garbage, p99.9", ...plain, most: 1, unit: "ms" },
];

/** How many times as well the subject does at one amount as another at another; by the point's unit more or less is better. */
export interface CurveFigure {
  what: string;
  name: string;
  quantity: string;
  at: number;
  /** Either another amount, or the peers at the same. */
  against: number | "peers";
  atLeast: number;
}

const CLIENTS = "client processes";

function besidePeers(name: string): CurveFigure {
  return { what: `64 clients against the best FUSE peer at 64: ${name}`, name, quantity: CLIENTS, at: 64, against: "peers", atLeast: 1 };
}

export const CURVE_FIGURES: readonly CurveFigure[] = [
  { what: "cached stat, 128 layers against 1", name: "stat, cached", quantity: "layers", at: 128, against: 1, atLeast: 0.9 },
  {
    what: "readdir, a name: a directory of 1,000,000 against 10,000",
    name: "readdir, a name",
    quantity: "names in a directory",
    at: MILLION,
    against: 10_000,
    atLeast: 0.8,
  },
  ...["stat, not cached", "open, read, close"].flatMap((name): CurveFigure[] => [
    besidePeers(name),
    besidePeers(`${name}, first pass`),
    { what: `64 clients against 1: ${name}`, name, quantity: CLIENTS, at: 64, against: 1, atLeast: 1 },
  ]),
];
