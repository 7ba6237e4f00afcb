/** The figures the project set itself, as data, and the verdict on each: met, short, or not measured in this run. */
import { type PhaseResult, ratioOf } from "../run/measurements.js";
import { geometricMean, spreadOf } from "../run/statistics.js";
import type { BenchReport } from "./bench-report.js";

export interface Verdict {
  what: string;
  atLeast: string;
  found: string;
  verdict: "met" | "short" | "not measured";
}

/** Every phase named: how many times as fast `subject` must be as `against`. "peers" is the fastest FUSE peer of that phase. */
interface PhaseFigure {
  what: string;
  phases: readonly string[] | "metadata" | "work";
  subject: string;
  against: string;
  atLeast: number;
  /** Judged as one: the geometric mean over the phases. */
  mean?: boolean;
}

const CACHED_DATA = ["seq-read", "rand-read", "seq-write", "rand-write", "mmap-read", "mmap-write"];

const PHASE_FIGURES: readonly PhaseFigure[] = [
  {
    what: "granted data path, against the kernel's overlay",
    phases: CACHED_DATA,
    subject: "sluice-granted",
    against: "overlayfs",
    atLeast: 0.97,
  },
  {
    what: "granted data path, sequential, against native",
    phases: ["seq-read", "seq-write"],
    subject: "sluice-granted",
    against: "native",
    atLeast: 0.9,
  },
  { what: "granted random writes, against FUSE peers", phases: ["rand-write"], subject: "sluice-granted", against: "peers", atLeast: 10 },
  { what: "granted sequential writes, against FUSE peers", phases: ["seq-write"], subject: "sluice-granted", against: "peers", atLeast: 3 },
  {
    what: "granted against mediated, random read, O_DIRECT",
    phases: ["direct-rand-read"],
    subject: "sluice-granted",
    against: "sluice-mediated",
    atLeast: 2,
  },
  {
    what: "granted against mediated, sequential write, O_DIRECT",
    phases: ["direct-seq-write"],
    subject: "sluice-granted",
    against: "sluice-mediated",
    atLeast: 3,
  },
  {
    what: "mediated data path, against fuse-overlayfs",
    phases: [...CACHED_DATA, "direct-rand-read", "direct-seq-write"],
    subject: "sluice-mediated",
    against: "fuse-overlayfs",
    atLeast: 1,
  },
  { what: "metadata, each phase, against the best FUSE peer", phases: "metadata", subject: "sluice", against: "peers", atLeast: 1 },
  {
    what: "metadata, geometric mean, against the best FUSE peer",
    phases: "metadata",
    subject: "sluice",
    against: "peers",
    atLeast: 1.3,
    mean: true,
  },
  { what: "cached stat, against the kernel's overlay", phases: ["stat-warm"], subject: "sluice", against: "overlayfs", atLeast: 0.95 },
  { what: "real work, each phase, against the best FUSE peer", phases: "work", subject: "sluice", against: "peers", atLeast: 1 },
];

/** The ratio, or undefined where either was not measured. */
function judged(result: PhaseResult, figure: PhaseFigure, peers: readonly string[]): number | undefined {
  const others = figure.against === "peers" ? peers : [figure.against];
  const ratios = others.flatMap((other) => ratioOf(result, figure.subject, other)?.median ?? []);
  return ratios.length === 0 ? undefined : Math.min(...ratios);
}

function phasesOf(figure: PhaseFigure, results: readonly PhaseResult[]): readonly PhaseResult[] {
  const { phases } = figure;
  return typeof phases === "string" ? results.filter(({ group }) => group === phases) : results.filter(({ name }) => phases.includes(name));
}

function judgePhase(figure: PhaseFigure, { results, subjects }: BenchReport): Verdict[] {
  const peers = subjects.filter(({ kind }) => kind === "peer").map(({ name }) => name);
  const found = phasesOf(figure, results).flatMap((result) => {
    const ratio = judged(result, figure, peers);
    return ratio === undefined ? [] : [{ name: result.name, ratio }];
  });
  const verdict = (ratio: number): Verdict["verdict"] => (ratio >= figure.atLeast ? "met" : "short");
  const atLeast = figure.atLeast.toFixed(2);
  if (found.length === 0) return [{ what: figure.what, atLeast, found: "–", verdict: "not measured" }];
  if (figure.mean) {
    const mean = geometricMean(found.map(({ ratio }) => ratio));
    return [{ what: figure.what, atLeast, found: mean.toFixed(2), verdict: verdict(mean) }];
  }
  return found.map(({ name, ratio }) => ({ what: `${figure.what}: ${name}`, atLeast, found: ratio.toFixed(2), verdict: verdict(ratio) }));
}

const MOST_BYTES_A_FILE = 250;
const MOST_BYTES_A_MILLION = 400e6;

function judgeMemory({ scale }: BenchReport): Verdict[] {
  const figures = [
    { experiment: "memory a file", most: MOST_BYTES_A_FILE, shown: "≤ 250 bytes" },
    { experiment: "memory in all", most: MOST_BYTES_A_MILLION, shown: "≤ 400 MB" },
  ];
  return figures.map(({ experiment, most, shown }) => {
    const point = scale.find((one) => one.experiment === experiment && one.subject === "sluice" && one.at === 1_000_000);
    const what = `1,000,000 files walked, ${experiment}`;
    if (!point) return { what, atLeast: shown, found: "–", verdict: "not measured" };
    const { median } = spreadOf(point.values);
    return { what, atLeast: shown, found: `${Math.round(median)} bytes`, verdict: median <= most ? "met" : "short" };
  });
}

export function judgeFigures(report: BenchReport): Verdict[] {
  return [...PHASE_FIGURES.flatMap((figure) => judgePhase(figure, report)), ...judgeMemory(report)];
}
