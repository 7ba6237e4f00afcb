/** The command line of the benchmark. */
import { parseArgs } from "node:util";
import { BenchError } from "./bench-error.js";
import type { StorageKind } from "./machine/storage.js";
import { PROFILES, type ProfileName } from "./phases/sizes.js";

export interface NamedBinary {
  name: string;
  /** A path, or a command line with {lower}, {upper}, {work}, {source} and {mountpoint}. */
  command: string;
}

export interface BenchOptions {
  profile: ProfileName;
  rounds: number;
  warmUps: number;
  /** One run of all rounds on each. */
  layersOn: readonly StorageKind[];
  /** Patterns of phase or group names; empty: all but scaling. */
  phases: readonly string[];
  /** Empty: all. */
  subjects: readonly string[];
  binaries: readonly NamedBinary[];
  base: string;
  scale: boolean;
  /** Quantities; empty: all of them, and phases besides. */
  scaleOnly: readonly string[];
  /** Start-up, idle processor time, pauses, growth, size. */
  costs: boolean;
  figures: boolean;
  /** Nobody's idle processors halt during the run. */
  neverHalt: boolean;
  /** Other programs work on each processor but the first: always, or in a part of the run that is added, or never. */
  busy: "all" | "besides" | "never";
  /** No round and no point of a curve is begun that would end after these; at least one round counts. */
  minutes: number;
  /** A directory for the JSON and the plots; nothing is written without it. */
  out: string | undefined;
  /** Measure nothing: write plots and text again from the results.json of this directory. */
  render: string | undefined;
}

export const USAGE = `usage: npm run bench -- [options]

Measures Sluice beside native access, kernel overlayfs and other FUSE filesystems, interleaved round by round on the same
tree, and prints ratios with their spread. Needs root, cc, and fio for the data phases. What is missing is skipped by name.

  --figures             everything, sized to fit half an hour on a quiet machine with two processors: all phases with the
                        layers on tmpfs and on ext4, --scale, --costs; at the end each figure the project set itself: met or short
  --full                the same with the largest sizes and five rounds on each file system: an afternoon
  --quick               small sizes, 2 rounds: two to three minutes; with --figures the figures that it covers
  --tiny                sizes that measure nothing; shows that the benchmark works
  --minutes N           begin no round that would end later, but the first (default 30 with --figures, else without end)
  --rounds N            rounds that count (default 5; 3 with --figures, 2 with --quick, 1 with --tiny)
  --warm-ups N          rounds before them that do not (default 1; 0 with --quick and --tiny)
  --layers-on FS[,FS]   tmpfs (default) or ext4, on a loop image made and removed by the run, or one after the other
  --phases A,B          names of phases or groups (metadata, data, work); * stands for anything
  --subjects A,B        names of subjects
  --subject NAME=BINARY a further subject, called as BINARY -o lowerdir=…,upperdir=…,workdir=… MOUNTPOINT; may be repeated
  --subject "NAME=BINARY {source} {mountpoint}"
                        one that is called otherwise: {lower} {upper} {work} {mountpoint}, or {source} for a filesystem that
                        mirrors one directory and is given a copy of the tree
  --base NAME           what ratios are against (default overlayfs, or native where that is missing)
  --scale               also: 1 to 128 layers, directories of 10 to 1,000,000 names, 1 to 64 clients, open files, 1,000,000 files,
                        the longest lookup beside work on 100,000 names
  --scale-only A,B      of that, only what grows with these, and no phases: "known files" has lookups with and without a keeper, and
                        how long a server takes to take over
  --costs               also: time to mount, processor time at rest, pauses for garbage, growth under churn, size on disk
  --decisions [PART]    only the figures of the decision plane: open, wire, rules, memory, or all of them; three to ten minutes
  --never-halt          let no idle processor halt while anything is measured: what is left is work, for every subject
  --busy                have another program work on each processor but the first while anything is measured; --figures and
                        --full add names and attributes measured so
  --out DIR             write results.json, one plot a group, and the tables into the marked parts of DIR.md, where that exists
  --render DIR          measure nothing: make plots and DIR.md again from DIR/results.json
  --help

Subjects: native, overlayfs, fuse-overlayfs, mergerfs, sluice (no policy), sluice-uring (the same by FUSE over io_uring, which
is switched on while it starts), sluice-granted, sluice-mediated, sluice-halting (--idle-polling off; names and attributes), sluice-judging (a rule that judges moves; only where named), sluice-portable (the fuse-native engine), passthrough_hp (libfuse's
example, where it is in PATH), and those named with --subject.

Exit codes: 0 measured, also where a figure is short; 1 a subject or a phase broke; 2 the command line is wrong; 3 the machine
lacks something; 130 interrupted, and cleaned up.
`;

function wrong(message: string): never {
  throw new BenchError(2, `${message}: see npm run bench -- --help`);
}

function countOf(text: string | undefined, otherwise: number, name: string): number {
  if (text === undefined) return otherwise;
  return /^\d{1,4}$/.test(text) ? Number(text) : wrong(`${name}: ${text} is not a number of rounds`);
}

function storageOf(text: string): StorageKind {
  return text === "tmpfs" || text === "ext4" ? text : wrong(`--layers-on: ${text} is not tmpfs or ext4`);
}

function minutesOf(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  return /^[1-9]\d{0,3}$/.test(text) ? Number(text) : wrong(`--minutes: ${text} is not a number of minutes`);
}

function binaryOf(text: string): NamedBinary {
  const match = /^([\w.-]+)=(.+)$/.exec(text);
  return match ? { name: match[1] ?? "", command: match[2] ?? "" } : wrong(`--subject: ${text} is not NAME=BINARY`);
}

function listOf(texts: readonly string[] | undefined): string[] {
  return (texts ?? []).flatMap((text) => text.split(",")).filter(Boolean);
}

const FLAGS = {
  quick: { type: "boolean" },
  full: { type: "boolean" },
  tiny: { type: "boolean" },
  rounds: { type: "string" },
  "warm-ups": { type: "string" },
  "layers-on": { type: "string" },
  phases: { type: "string", multiple: true },
  subjects: { type: "string", multiple: true },
  subject: { type: "string", multiple: true },
  base: { type: "string" },
  scale: { type: "boolean" },
  "scale-only": { type: "string", multiple: true },
  costs: { type: "boolean" },
  figures: { type: "boolean" },
  "never-halt": { type: "boolean" },
  busy: { type: "boolean" },
  minutes: { type: "string" },
  out: { type: "string" },
  render: { type: "string" },
  help: { type: "boolean" },
} as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

type Values = ReturnType<typeof parse>;

function profileOf(values: Values): ProfileName {
  if (values.tiny) return "tiny";
  if (values.quick) return "quick";
  if (values.full) return "full";
  return values.figures ? "figures" : "standard";
}

const FIGURES_MINUTES = 30;

/** Undefined where help was asked for. @throws BenchError 2 */
export function readOptions(argv: readonly string[]): BenchOptions | undefined {
  const values = parse(argv);
  if (values.help) return undefined;
  const profile = profileOf(values);
  const rounds = countOf(values.rounds, PROFILES[profile].rounds, "--rounds");
  if (rounds === 0) wrong("--rounds: at least one round must count");
  const everything = profile === "figures" || profile === "full";
  return {
    profile,
    rounds,
    warmUps: countOf(values["warm-ups"], PROFILES[profile].warmUps, "--warm-ups"),
    layersOn: listOf([values["layers-on"] ?? (everything ? "tmpfs,ext4" : "tmpfs")]).map(storageOf),
    phases: listOf(values.phases),
    subjects: listOf(values.subjects),
    binaries: (values.subject ?? []).map(binaryOf),
    base: values.base ?? "overlayfs",
    scale: values.scale ?? (everything || values["scale-only"] !== undefined),
    scaleOnly: listOf(values["scale-only"]),
    costs: values.costs ?? everything,
    figures: values.figures ?? everything,
    neverHalt: values["never-halt"] ?? false,
    busy: values.busy === true ? "all" : everything ? "besides" : "never",
    minutes: minutesOf(values.minutes, profile === "figures" ? FIGURES_MINUTES : Number.POSITIVE_INFINITY),
    out: values.out,
    render: values.render,
  };
}
