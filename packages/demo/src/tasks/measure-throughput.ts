/**
 * Throughput of one file system reached three ways: directly, by passthrough, by mediation. The three take turns within
 * each round, so that whatever else the machine does meets them alike; the median over the rounds is the result.
 */
import { closeSync, constants, openSync, readSync, rmSync, writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { MIB } from "../demo-paths.js";
import type { Mode, ThroughputInput, ThroughputOutput, Workload } from "./task-table.js";

const MODES: readonly Mode[] = ["native", "passthrough", "mediated"];
const SPAN_BYTES = 128 * MIB;
const WRITTEN_BYTES = 64 * MIB;
const RANDOM_MS = 150;
const BLOCK_BYTES = 4096;
const buffer = Buffer.alloc(MIB, 1);
type FileNames = ThroughputInput["files"][Mode];

const secondsSince = (start: number): number => (performance.now() - start) / 1000;
const openForReading = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_NOATIME);

function readSequentially({ read }: FileNames): number {
  const fd = openForReading(read);
  const start = performance.now();
  for (let offset = 0; offset < SPAN_BYTES; offset += buffer.length) readSync(fd, buffer, 0, buffer.length, offset);
  const rate = SPAN_BYTES / secondsSince(start);
  closeSync(fd);
  return rate;
}

function readRandomly({ read }: FileNames): number {
  const fd = openForReading(read);
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < RANDOM_MS) {
    for (let turn = 0; turn < 64; turn++)
      readSync(fd, buffer, 0, BLOCK_BYTES, Math.floor(Math.random() * (SPAN_BYTES / BLOCK_BYTES)) * BLOCK_BYTES);
    count += 64;
  }
  const rate = count / secondsSince(start);
  closeSync(fd);
  return rate;
}

function writeThrough(fd: number): void {
  for (let offset = 0; offset < WRITTEN_BYTES; offset += buffer.length) writeSync(fd, buffer, 0, buffer.length, offset);
}

/** Over pages that a first pass brought into the cache: finding free memory costs the same on every way, and varies more than they do. */
function writeSequentially({ write }: FileNames): number {
  const fd = openSync(write, "w");
  writeThrough(fd);
  const start = performance.now();
  writeThrough(fd);
  const rate = WRITTEN_BYTES / secondsSince(start);
  closeSync(fd);
  rmSync(write);
  return rate;
}

const WORKLOADS: Readonly<Record<Workload, (files: FileNames) => number>> = {
  sequentialRead: readSequentially,
  randomRead: readRandomly,
  sequentialWrite: writeSequentially,
};

const median = (values: readonly number[]): number => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;

export function measureThroughput({ files, rounds }: ThroughputInput): ThroughputOutput {
  // Once for the page cache: the measurement compares the ways, not the disk.
  for (const mode of MODES) readSequentially(files[mode]);
  const measure = (workload: Workload): Record<Mode, number> => {
    const rates: Record<Mode, number[]> = { native: [], passthrough: [], mediated: [] };
    for (let round = 0; round < rounds; round++) {
      const turn = [...MODES.slice(round % MODES.length), ...MODES.slice(0, round % MODES.length)];
      // Forwards and backwards, since each leaves the caches to the next one.
      if (round % 2 === 1) turn.reverse();
      for (const mode of turn) rates[mode].push(WORKLOADS[workload](files[mode]));
    }
    return { native: median(rates.native), passthrough: median(rates.passthrough), mediated: median(rates.mediated) };
  };
  return { sequentialRead: measure("sequentialRead"), randomRead: measure("randomRead"), sequentialWrite: measure("sequentialWrite") };
}
