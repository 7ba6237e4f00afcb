/** The report at the end of the demo: its steps and results, in words for a person. Pure: data in, text out. */
import { formatBytes, formatCount, formatRate } from "./format-units.js";
import type { BlockedOutput, DeniedOutput, FrozenOutput, LargeFileOutput, Mode, ThroughputOutput } from "./tasks/task-table.js";

export interface LayerFact {
  name: string;
  path: string;
  /** "passthrough", or why not. */
  passthrough: string;
}
export interface PolicyFacts {
  granted: number;
  mediated: number;
  denied: number;
  /** How many of these the decision service was asked about, and where: cached answers decided the others. */
  asked: number;
  target: string;
  /** Granted opens that were still mediated, by reason. */
  fallbacks: Readonly<Record<string, number>>;
  layers: readonly LayerFact[];
}
export interface FrozenFacts {
  frozen: FrozenOutput;
  /** The result of the read of a mediated file, which had waited until the daemon went on. */
  blocked: BlockedOutput;
}
export type KernelCheck = { kind: "identical"; objects: number } | { kind: "skipped"; reason: string };
export interface ReportData {
  policy: PolicyFacts;
  denied: DeniedOutput;
  /** Of the process that decides, which is not the one that serves. */
  decisionPid: number | undefined;
  /** undefined: this mount has no passthrough, every open was mediated. */
  frozen: FrozenFacts | undefined;
  largeFile: LargeFileOutput;
  throughput: ThroughputOutput;
  /** Counts by kind of change, and how much the upper layer holds. */
  upper: { changes: Readonly<Record<string, number>>; kernel: KernelCheck };
  lower: { objects: number; differences: readonly string[]; digest: string };
  seconds: number;
}

const SHOWN_DIFFERENCES = 5;
/** How kinds of change are told, in this order; a kind that is not here is told by its own name. */
const KINDS: Readonly<Record<string, string>> = {
  added: "added",
  modified: "modified",
  deleted: "deleted",
  opaque: "replaced as a whole",
  metadata: "changed in mode, owner or time only",
  copied: "copied up without a change",
};

const percent = (part: number, whole: number): string => `${Math.round((100 * part) / whole)} %`;

function policyLines({ policy, denied, decisionPid, frozen }: ReportData): string[] {
  const line = (effect: string, count: number, meaning: string): string =>
    `  ${effect.padEnd(9)} ${formatCount(count).padStart(9)}  ${meaning}`;
  const fallbacks = Object.entries(policy.fallbacks).map(([reason, count]) => `  granted, yet mediated: ${formatCount(count)} (${reason})`);
  return [
    "The policy at work (decisions enforced)",
    line(
      "granted",
      policy.granted,
      frozen === undefined ? "mediated all the same" : "the kernel reads and writes the layer's file by itself",
    ),
    line("mediated", policy.mediated, "every byte goes through the daemon"),
    line(
      "denied",
      policy.denied,
      `among them ${denied.attempts
        .map(({ what }) => what)
        .slice(0, 3)
        .join(", ")}: EACCES`,
    ),
    line(
      "asked",
      policy.asked,
      `over gRPC, of the decision service (process ${decisionPid ?? "unknown"}, ${policy.target}); the rest by cached answers`,
    ),
    ...fallbacks,
    ...policy.layers.map((layer) => `  ${layer.name.padEnd(9)} ${layer.path}: ${layer.passthrough}`),
  ];
}

function throughputLines({ throughput, frozen }: ReportData): string[] {
  const row = (name: string, rates: Readonly<Record<Mode, number>>, format: (rate: number) => string): string =>
    `  ${name.padEnd(24)}${format(rates.native).padStart(13)}` +
    (["passthrough", "mediated"] as const)
      .map((mode) => format(rates[mode]).padStart(14) + percent(rates[mode], rates.native).padStart(7))
      .join("");
  return [
    "Throughput, measured in this run (medians of rounds in which the three took turns; page cache warm)",
    `  ${"".padEnd(24)}${"native".padStart(13)}${(frozen === undefined ? "granted" : "passthrough").padStart(21)}${"mediated".padStart(21)}`,
    row("sequential read", throughput.sequentialRead, formatRate),
    row("random read of 4 KiB", throughput.randomRead, (rate) => `${formatCount(Math.round(rate))}/s`),
    row("sequential write", throughput.sequentialWrite, formatRate),
  ];
}

function frozenLines({ frozen }: ReportData): string[] {
  if (frozen === undefined) return ["Passthrough", "  none with this engine: it mediates granted opens, too, as the counts above tell"];
  const { readBytes, readSeconds, writtenBytes } = frozen.frozen;
  return [
    "With the daemon stopped by SIGSTOP",
    `  granted file    ${formatBytes(readBytes)} read at ${formatRate(readBytes / readSeconds)} and ${formatBytes(writtenBytes)} written, on descriptors opened before`,
    `  mediated file   a read waited until SIGCONT, then gave its ${formatCount(frozen.blocked.readBytes)} bytes`,
  ];
}

function largeFileLines({ largeFile }: ReportData): string[] {
  const rate = (bytes: number, seconds: number): string => formatRate(bytes / seconds);
  return [
    "Large files through the view",
    `  read      ${formatBytes(largeFile.readBytes)} with SHA-256 at ${rate(largeFile.readBytes, largeFile.readSeconds)}, equal to the file in the layer`,
    `  written   ${formatBytes(largeFile.writtenBytes)} at ${rate(largeFile.writtenBytes, largeFile.writeSeconds)}`,
    `  copied up ${formatBytes(largeFile.copyUpBytes)} in ${largeFile.copyUpSeconds.toFixed(2)} s, at the first write to it`,
    `  mapped    ${formatBytes(largeFile.mappedBytes)}, read and written through the mappings`,
  ];
}

function upperLines({ upper }: ReportData): string[] {
  const kinds = new Set([...Object.keys(KINDS), ...Object.keys(upper.changes)]);
  const changes = [...kinds].flatMap((kind) => {
    const count = upper.changes[kind] ?? 0;
    return count === 0 ? [] : [`${formatCount(count)} ${KINDS[kind] ?? kind}`];
  });
  const kernel =
    upper.kernel.kind === "identical"
      ? `kernel overlayfs, given the same upper and lower layers, shows the identical tree: ${formatCount(upper.kernel.objects)} objects`
      : `not compared with kernel overlayfs: ${upper.kernel.reason}`;
  return ["The upper layer", `  ${changes.length === 0 ? "nothing" : changes.join(", ")}`, `  ${kernel}`];
}

function lowerLines({ lower }: ReportData): string[] {
  if (lower.differences.length === 0)
    return [
      "The lower layers",
      `  unchanged: ${formatCount(lower.objects)} objects, with names, modes, owners, sizes, all times, attributes and content`,
      `  SHA-256 before and after ${lower.digest}`,
    ];
  const shown = lower.differences.slice(0, SHOWN_DIFFERENCES).map((difference) => `    ${difference}`);
  const more = lower.differences.length - shown.length;
  return [
    "The lower layers",
    `  CHANGED in ${formatCount(lower.differences.length)} objects:`,
    ...shown,
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

export function formatReport(data: ReportData): string {
  const sections = [policyLines, throughputLines, frozenLines, largeFileLines, upperLines, lowerLines].map((section) =>
    section(data).join("\n"),
  );
  return `\n${sections.join("\n\n")}\n\nDone in ${Math.round(data.seconds)} s.\n`;
}
