/** The machine that the figures are from: without it a ratio cannot be judged or repeated. */
import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { describeIdle } from "./idle-processors.js";
import { linesOf } from "./run-command.js";

export interface Machine {
  kernel: string;
  cpu: string;
  cpus: number;
  memoryGib: number;
  /** Of the minute before the run: a busy machine shows in the spread. */
  loadAverage: number;
  node: string;
  fuseOverUring: string;
  /** Absent in files of older runs. */
  idle?: string;
  versions: Record<string, string>;
}

const PROGRAMS = ["fuse-overlayfs", "mergerfs", "fio", "git", "rg", "sqlite3", "python3", "cc", "make", "npm"] as const;

// They do not print their real version: a version before the release, or none at all.
const ASK_THE_DISTRIBUTION = new Set<string>(["fuse-overlayfs", "mergerfs"]);

function versionOf(name: string): string | undefined {
  const said = linesOf(name, ["--version"]);
  if (said === undefined) return undefined;
  const own = said.find((line) => /\d\.\d/.test(line)) ?? said[0] ?? "";
  if (!ASK_THE_DISTRIBUTION.has(name)) return own;
  const packaged = linesOf("dpkg-query", ["-W", "-f", "${Version}", name])?.[0];
  return packaged !== undefined && /^\d/.test(packaged) ? `package ${packaged}` : own;
}

export function describeMachine(): Machine {
  const versions = PROGRAMS.flatMap((name) => {
    const version = versionOf(name);
    return version === undefined ? [] : [[name, version] as const];
  });
  const uring = "/sys/module/fuse/parameters/enable_uring";
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cpus: cpus().length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    loadAverage: loadavg()[0] ?? 0,
    node: process.version,
    fuseOverUring: existsSync(uring) ? readFileSync(uring, "utf8").trim() : "not offered",
    idle: describeIdle(),
    versions: Object.fromEntries(versions),
  };
}
