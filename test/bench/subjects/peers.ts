/** Other FUSE filesystems: the two that distributions carry, and any binary named on the command line. */
import { BenchError } from "../bench-error.js";
import { findProgram } from "../machine/find-program.js";
import type { NamedBinary } from "../options.js";
import { startDaemon } from "./daemon.js";
import { escapeLayer, type SubjectDirectories, type Subject } from "./subject.js";

function overlayOptions({ lowers, upper, work }: SubjectDirectories): string {
  return `lowerdir=${lowers.map(escapeLayer).join(":")},upperdir=${escapeLayer(upper)},workdir=${escapeLayer(work)}`;
}

export const fuseOverlayfsSubject: Subject = {
  name: "fuse-overlayfs",
  kind: "peer",
  about: "fuse-overlayfs, default options",
  mirrors: false,
  missing: () => (findProgram("fuse-overlayfs") ? undefined : "fuse-overlayfs is not installed"),
  start: (directories) =>
    startDaemon({
      name: "fuse-overlayfs",
      file: "fuse-overlayfs",
      args: ["-f", "-o", overlayOptions(directories), directories.mountpoint],
      ...directories,
    }),
};

export const mergerfsSubject: Subject = {
  name: "mergerfs",
  kind: "peer",
  about: "mergerfs over a writable copy of the tree (it does no copy-up), cache.files=auto-full, category.create=ff",
  mirrors: true,
  missing: () => (findProgram("mergerfs") ? undefined : "mergerfs is not installed"),
  start: (directories) => {
    const args = [
      "-f",
      "-o",
      "cache.files=auto-full,category.create=ff",
      `${directories.upper}=RW:${directories.source}=RW`,
      directories.mountpoint,
    ];
    return startDaemon({ name: "mergerfs", file: "mergerfs", args, ...directories });
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
  start: (directories) => {
    const args = ["--foreground", directories.source, directories.mountpoint];
    return startDaemon({ name: PASSTHROUGH_HP, file: PASSTHROUGH_HP, args, ...directories });
  },
};

function fillIn(word: string, directories: SubjectDirectories): string {
  const values: Record<string, string> = {
    lower: directories.lowers.map(escapeLayer).join(":"),
    upper: escapeLayer(directories.upper),
    work: escapeLayer(directories.work),
    source: directories.source,
    mountpoint: directories.mountpoint,
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
    start: (directories) => startDaemon({ name, file, args: args.map((word) => fillIn(word, directories)), ...directories }),
  };
}
