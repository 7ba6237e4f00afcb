/** The options of the demo's command line. */

export interface DemoOptions {
  /** Leave the mount up and the scratch directory in place. */
  keep: boolean;
  /** Directory to work below; undefined is the system's temporary directory. */
  scratch: string | undefined;
  /** As `sluice mount --engine` takes it; undefined leaves the choice to sluice. */
  engine: string | undefined;
}

export type ParsedOptions = { kind: "run"; options: DemoOptions } | { kind: "help" } | { kind: "wrong"; message: string };

export const USAGE = `Usage: npm start [-- OPTIONS]

Mounts a merged view of this repository's node_modules and some generated files, works in it under a policy, and reports
what the policy did, how fast I/O was, and what the layers hold. Needs root and /dev/fuse; takes one to three minutes.

  --keep          leave the mount up afterwards and print what to try with it
  --scratch DIR   work below DIR instead of the temporary directory (a disk file system with 4 GiB free)
  --engine NAME   the engine to mount with: devfuse, or fuse-native, with which everything is mediated
  --help          this text

Exit status: 0 done, 1 a step failed, 2 wrong option, 3 the machine lacks something, 130 interrupted.
`;

/** `args` as in process.argv, without the program. */
export function parseOptions(args: readonly string[]): ParsedOptions {
  const options: DemoOptions = { keep: false, scratch: undefined, engine: undefined };
  const rest = [...args];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--help" || argument === "-h") return { kind: "help" };
    if (argument === "--keep") options.keep = true;
    else if (argument.startsWith("--scratch=")) options.scratch = argument.slice("--scratch=".length);
    else if (argument === "--scratch") {
      options.scratch = rest.shift();
      if (options.scratch === undefined) return { kind: "wrong", message: "--scratch: no directory given: write --scratch DIR" };
    } else if (argument === "--engine") {
      options.engine = rest.shift();
      if (options.engine === undefined) return { kind: "wrong", message: "--engine: no engine given: write --engine NAME" };
    } else return { kind: "wrong", message: `${argument}: unknown option: see npm start -- --help` };
  }
  return { kind: "run", options };
}
