/** Other FUSE filesystems: the two that distributions carry, and any binary named on the command line. */
import { BenchError } from "../bench-error.js";
import { findProgram } from "../machine/find-program.js";
import type { NamedBinary } from "../options.js";
import { startDaemon } from "./daemon.js";
import { escapeLayer, type Ground, type Subject } from "./subject.js";

function overlayOptions({ lowers, upper, work }: Ground): string {
  return `lowerdir=${lowers.map(escapeLayer).join(":")},upperdir=${escapeLayer(upper)},workdir=${escapeLayer(work)}`;
}

export const fuseOverlayfsSubject: Subject = {
  name: "fuse-overlayfs",
  kind: "peer",
  about: "fuse-overlayfs, default options",
  mirrors: false,
  missing: () => (findProgram("fuse-overlayfs") ? undefined : "fuse-overlayfs is not installed"),
  start: (ground) =>
    startDaemon({
      name: "fuse-overlayfs",
      file: "fuse-overlayfs",
      args: ["-f", "-o", overlayOptions(ground), ground.mountpoint],
      ...ground,
    }),
};

export const mergerfsSubject: Subject = {
  name: "mergerfs",
  kind: "peer",
  about: "mergerfs over a writable copy of the tree (it does no copy-up), cache.files=auto-full, category.create=ff",
  mirrors: true,
  missing: () => (findProgram("mergerfs") ? undefined : "mergerfs is not installed"),
  start: (ground) => {
    const args = ["-f", "-o", "cache.files=auto-full,category.create=ff", `${ground.upper}=RW:${ground.source}=RW`, ground.mountpoint];
    return startDaemon({ name: "mergerfs", file: "mergerfs", args, ...ground });
  },
};

const PASSTHROUGH_HP = "passthrough_hp";

/** An example of libfuse that distributions do not carry: built by hand, as docs/benchmarks.md says. */
export const passthroughHpSubject: Subject = {
  name: PASSTHROUGH_HP,
  kind: "floor",
  phasesOnly: true,
  about: "libfuse's passthrough_hp over a writable copy of the tree (it mirrors one directory), default options",
  mirrors: true,
  missing: () => (findProgram(PASSTHROUGH_HP) ? undefined : `${PASSTHROUGH_HP} is not in PATH`),
  start: (ground) => {
    const args = ["--foreground", ground.source, ground.mountpoint];
    return startDaemon({ name: PASSTHROUGH_HP, file: PASSTHROUGH_HP, args, ...ground });
  },
};

function fillIn(word: string, ground: Ground): string {
  const values: Record<string, string> = {
    lower: ground.lowers.map(escapeLayer).join(":"),
    upper: escapeLayer(ground.upper),
    work: escapeLayer(ground.work),
    source: ground.source,
    mountpoint: ground.mountpoint,
  };
  return word.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** @throws BenchError 2 where the command line has placeholders but none for the mount point */
export function binarySubject({ name, command }: NamedBinary): Subject {
  const words = command.split(/\s+/).filter(Boolean);
  const template = words.length > 1 ? words : [command, "-o", "lowerdir={lower},upperdir={upper},workdir={work}", "{mountpoint}"];
  if (!template.includes("{mountpoint}")) throw new BenchError(2, `--subject ${name}: the command needs {mountpoint} as a word of its own`);
  const [file = "", ...args] = template;
  return {
    name,
    kind: "peer",
    about: template.join(" "),
    mirrors: template.some((word) => word.includes("{source}")),
    missing: () => (findProgram(file) ? undefined : `${file} cannot be run`),
    start: (ground) => startDaemon({ name, file, args: args.map((word) => fillIn(word, ground)), ...ground }),
  };
}
