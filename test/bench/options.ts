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
  layersOn: StorageKind;
  /** Patterns of phase or group names; empty: all but scaling. */
  phases: readonly string[];
  /** Empty: all. */
  subjects: readonly string[];
  binaries: readonly NamedBinary[];
  base: string;
  scale: boolean;
  /** Quantities; empty: all of them, and phases besides. */
  scaleOnly: readonly string[];
  figures: boolean;
  /** A directory for the JSON and the plots; nothing is written without it. */
  out: string | undefined;
}

export const USAGE = `usage: npm run bench -- [options]

Measures Sluice beside native access, kernel overlayfs and other FUSE filesystems, interleaved round by round on the same
tree, and prints ratios with their spread. Needs root, cc, and fio for the data phases. What is missing is skipped by name.

  --quick               small sizes, 2 rounds: two to three minutes
  --full                the largest sizes: a copy-up of 1 GiB, a search of 100,000 files
  --tiny                sizes that measure nothing; shows that the benchmark works
  --rounds N            rounds that count (default 5; 2 with --quick, 1 with --tiny)
  --warm-ups N          rounds before them that do not (default 1; 0 with --quick and --tiny)
  --layers-on FS        tmpfs (default) or ext4, on a loop image made and removed by the run
  --phases A,B          names of phases or groups (metadata, data, work); * stands for anything
  --subjects A,B        names of subjects
  --subject NAME=BINARY a further subject, called as BINARY -o lowerdir=…,upperdir=…,workdir=… MOUNTPOINT; may be repeated
  --subject "NAME=BINARY {source} {mountpoint}"
                        one that is called otherwise: {lower} {upper} {work} {mountpoint}, or {source} for a filesystem that
                        mirrors one directory and is given a copy of the tree
  --base NAME           what ratios are against (default overlayfs, or native where that is missing)
  --scale               also: 1 to 128 layers, directories of 10 to 1,000,000 names, 1 to 64 clients, open files, 1,000,000 files
  --scale-only A,B      of that, only what grows with these, and no phases: "known files" has lookups with and without a keeper, and
                        how long a server takes to take over
  --decisions [PART]    only the figures of the decision plane: open, wire, rules, memory, or all of them; three to ten minutes
  --figures             at the end: each figure the project set itself, met or short
  --out DIR             write results.json and one plot a group
  --help

Subjects: native, overlayfs, fuse-overlayfs, mergerfs, sluice (no policy), sluice-uring (the same by FUSE over io_uring, which
is switched on while it starts), sluice-granted, sluice-mediated, sluice-portable (the fuse-native engine), and those named
with --subject.

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
  figures: { type: "boolean" },
  out: { type: "string" },
  help: { type: "boolean" },
} as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

/** Undefined where help was asked for. @throws BenchError 2 */
export function readOptions(argv: readonly string[]): BenchOptions | undefined {
  const values = parse(argv);
  if (values.help) return undefined;
  const profile: ProfileName = values.tiny ? "tiny" : values.quick ? "quick" : values.full ? "full" : "standard";
  const rounds = countOf(values.rounds, PROFILES[profile].rounds, "--rounds");
  if (rounds === 0) wrong("--rounds: at least one round must count");
  return {
    profile,
    rounds,
    warmUps: countOf(values["warm-ups"], PROFILES[profile].warmUps, "--warm-ups"),
    layersOn: storageOf(values["layers-on"] ?? "tmpfs"),
    phases: listOf(values.phases),
    subjects: listOf(values.subjects),
    binaries: (values.subject ?? []).map(binaryOf),
    base: values.base ?? "overlayfs",
    scale: values.scale ?? values["scale-only"] !== undefined,
    scaleOnly: listOf(values["scale-only"]),
    figures: values.figures ?? false,
    out: values.out,
  };
}
