/** Parses the command line, in both forms of this command. It reads no file. */
import { CliError, EXIT } from "@sluice/runtime/cli";

export interface MountInvocation {
  kind: "mount";
  /** First column of /proc/mounts; fsname= overrides it. */
  source: string | undefined;
  mountpoint: string;
  /** The `-o` strings, unparsed. */
  options: string[];
  foreground: boolean;
  debug: boolean;
  /** Check the options, and do not mount. */
  fake: boolean;
  /** mount(8) called it. Otherwise it replaces fuse-overlayfs, and behaves like it. */
  byMount: boolean;
}
export type Invocation = { kind: "help" } | { kind: "version" } | { kind: "install"; prefix: string } | MountInvocation;

function usage(object: string, problem: string): CliError {
  return new CliError({ object, problem, remedy: "see 'sluice-overlayfs --help'", exitCode: EXIT.USAGE });
}

/** The positional arguments, and the values of -o. */
interface Words {
  plain: string[];
  options: string[];
  flags: Set<string>;
}

/** `valued`: letters that take a value, in the same word or the next one; "o" is collected, others are dropped. */
function split(argv: readonly string[], known: ReadonlySet<string>, valued: string): Words {
  const words: Words = { plain: [], options: [], flags: new Set() };
  const rest = argv.slice();
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      words.plain.push(...rest.splice(0));
    } else if (word === "-" || !word.startsWith("-")) {
      words.plain.push(word);
    } else if (!word.startsWith("--") && valued.includes(word.charAt(1))) {
      const value = word.length > 2 ? word.slice(2) : rest.shift();
      if (value === undefined) throw usage(word, "a value is missing");
      if (word.charAt(1) === "o") words.options.push(value);
    } else {
      const flags = word.startsWith("--") ? [word] : word.slice(1).split("");
      if (!flags.every((flag) => known.has(flag))) throw usage(word, "unknown flag");
      words.flags = new Set([...words.flags, ...flags]);
    }
  }
  return words;
}

const FLAGS = new Set(["f", "d", "s", "h", "V", "--debug", "--help", "--version", "--foreground"]);

/** `--install-helpers [DIR]`, or with `=DIR`. Undefined if the command line begins with something else. */
function installation([first = "", second, ...others]: readonly string[]): Invocation | undefined {
  const [word, joined] = /^--install-helpers(?:=(.*))?$/s.exec(first) ?? [];
  if (word === undefined) return undefined;
  if (second === "-h" || second === "--help") return { kind: "help" };
  const prefix = joined ?? second ?? "/";
  if (prefix === "") throw usage("--install-helpers", "the name of the directory is empty");
  const [excess] = joined === undefined ? others : [second, ...others];
  if (excess !== undefined) throw usage(excess, "one word too many: a directory is all that --install-helpers takes");
  if (joined === undefined && prefix.startsWith("-")) throw usage(prefix, "it is a flag, and --install-helpers takes a directory");
  return { kind: "install", prefix };
}

/** `sluice-overlayfs [SOURCE] MOUNTPOINT -o …`, as fuse-overlayfs and mount.fuse3 have it. */
export function parseOverlayfs(argv: readonly string[]): Invocation {
  const installed = installation(argv);
  if (installed !== undefined) return installed;
  const { plain, options, flags } = split(argv, FLAGS, "o");
  if (flags.has("h") || flags.has("--help")) return { kind: "help" };
  if (flags.has("V") || flags.has("--version")) return { kind: "version" };
  const debug = flags.has("d") || flags.has("--debug");
  return {
    ...placesOf(plain),
    options,
    foreground: debug || flags.has("f") || flags.has("--foreground"),
    debug,
    fake: false,
    byMount: false,
  };
}

const HELPER_FLAGS = new Set(["f", "n", "s", "v", "r", "w", "h", "V", "--help", "--version"]);

/** `mount.fuse.sluice SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o …] [-t TYPE]`, as mount(8) calls it. */
export function parseMountHelper(argv: readonly string[]): Invocation {
  const { plain, options, flags } = split(argv, HELPER_FLAGS, "oNt");
  if (flags.has("h") || flags.has("--help")) return { kind: "help" };
  if (flags.has("V") || flags.has("--version")) return { kind: "version" };
  if (plain.length !== 2) throw usage("command line", "mount(8) gives a source and a mount point");
  if (flags.has("r")) options.push("ro");
  return { ...placesOf(plain), options, foreground: false, debug: false, fake: flags.has("f"), byMount: true };
}

function placesOf(plain: readonly string[]): { kind: "mount"; source: string | undefined; mountpoint: string } {
  const [first, second] = plain;
  if (first === undefined) throw usage("command line", "no mount point is given");
  if (plain.length > 2) throw usage(plain[2] as string, "one word too many: a source and a mount point are all there is");
  return second === undefined
    ? { kind: "mount", source: undefined, mountpoint: first }
    : { kind: "mount", source: first, mountpoint: second };
}
