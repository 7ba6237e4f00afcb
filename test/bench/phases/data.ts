/** Phases of file data, by fio. Cached ones measure the way to the page cache; direct ones keep the cache out of it. */
import { join } from "node:path";
import { runCommand } from "../machine/run-command.js";
import type { Session } from "../subjects/session.js";
import type { Bench, Phase } from "./phase.js";

interface FioPhase {
  name: string;
  title: string;
  rw: "read" | "randread" | "write" | "randwrite";
  block: "4k" | "1m";
  engine: "psync" | "mmap" | "io_uring";
  depth?: number;
  direct?: boolean;
}

const PHASES: readonly FioPhase[] = [
  { name: "seq-read", title: "sequential read, 1 MiB", rw: "read", block: "1m", engine: "psync" },
  { name: "rand-read", title: "random read, 4 KiB", rw: "randread", block: "4k", engine: "psync" },
  { name: "seq-write", title: "sequential write, 1 MiB", rw: "write", block: "1m", engine: "psync" },
  { name: "rand-write", title: "random write, 4 KiB", rw: "randwrite", block: "4k", engine: "psync" },
  { name: "mmap-read", title: "random read of a mapping, 4 KiB", rw: "randread", block: "4k", engine: "mmap" },
  { name: "mmap-write", title: "random write of a mapping, 4 KiB", rw: "randwrite", block: "4k", engine: "mmap" },
  { name: "uring-read", title: "random read, 4 KiB, io_uring depth 16", rw: "randread", block: "4k", engine: "io_uring", depth: 16 },
  { name: "uring-write", title: "random write, 4 KiB, io_uring depth 16", rw: "randwrite", block: "4k", engine: "io_uring", depth: 16 },
  { name: "direct-rand-read", title: "random read, 4 KiB, O_DIRECT", rw: "randread", block: "4k", engine: "psync", direct: true },
  { name: "direct-seq-read", title: "sequential read, 1 MiB, O_DIRECT", rw: "read", block: "1m", engine: "psync", direct: true },
  { name: "direct-seq-write", title: "sequential write, 1 MiB, O_DIRECT", rw: "write", block: "1m", engine: "psync", direct: true },
];

interface FioReport {
  jobs: readonly { read: { bw_bytes: number }; write: { bw_bytes: number } }[];
}

const isWrite = ({ rw }: FioPhase): boolean => rw.endsWith("write");

/** Reads go to a lower file, writes to one in the upper layer: another phase measures copy-ups. */
function fileOf(phase: FioPhase, { root }: Session): string {
  return isWrite(phase) ? join(root, "scratch", "write.bin") : join(root, "data", "read.bin");
}

function fioArguments(phase: FioPhase, file: string, { sizes }: Bench): string[] {
  const options: Record<string, string | number> = {
    name: phase.name,
    filename: file,
    rw: phase.rw,
    bs: phase.block,
    ioengine: phase.engine,
    iodepth: phase.depth ?? 1,
    direct: phase.direct ? 1 : 0,
    size: `${sizes.dataMb}m`,
    runtime: `${sizes.fioMs}ms`,
    // fio would empty the page cache first, and lay the file out again: neither belongs to a cached phase.
    invalidate: 0,
    overwrite: 0,
    fallocate: "none",
    // Several passes over the file, none of them checked for repeats: the map of blocks would be what is measured.
    norandommap: 1,
    "output-format": "json",
  };
  return ["--thread", "--time_based", ...Object.entries(options).map(([key, value]) => `--${key}=${value}`)];
}

/** The file that writes go to, and pages that are there for the reads. */
async function prepare(phase: FioPhase, session: Session, bench: Bench): Promise<void> {
  const file = fileOf(phase, session);
  const count = `count=${bench.sizes.dataMb}`;
  if (isWrite(phase)) await runCommand("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", count, "status=none"]);
  else await runCommand("dd", [`if=${file}`, "of=/dev/null", "bs=1M", "status=none"]);
}

async function measure(phase: FioPhase, session: Session, bench: Bench): Promise<number> {
  const { stdout } = await runCommand("fio", fioArguments(phase, fileOf(phase, session), bench), { cwd: bench.storage.outside });
  // fio may print notes before the report.
  const report = JSON.parse(stdout.slice(stdout.indexOf("{"))) as FioReport;
  const job = report.jobs[0];
  return (isWrite(phase) ? (job?.write.bw_bytes ?? 0) : (job?.read.bw_bytes ?? 0)) / 1e6;
}

export const dataPhases: readonly Phase[] = PHASES.map((phase) => ({
  name: phase.name,
  title: phase.title,
  group: "data",
  unit: "MB/s",
  program: "fio",
  prepare: (session, bench) => prepare(phase, session, bench),
  measure: (session, bench) => measure(phase, session, bench),
}));
