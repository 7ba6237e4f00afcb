/**
 * Translates options of fuse-overlayfs and mount(8) to the command line of `sluice mount`: it removes the options of this command itself,
 * adds those that a drop-in needs, and leaves the rest to the option table.
 */
import { CliError, EXIT } from "@sluice/runtime/cli";
import type { MountInvocation } from "./invocation.js";

/** The options of an option string; a backslash escapes a comma. */
function wordsOf(options: readonly string[]): string[] {
  return options.flatMap((text) => text.match(/(?:[^,\\]|\\.|\\$)+/gs) ?? []);
}

/** Options that are flags of `sluice mount`. */
const FLAGS: ReadonlyMap<string, string> = new Map(
  [
    ["policy", "decision", "decision_ca", "decision_cert", "decision_key", "decision_timeout"],
    ["on_outage", "stale_for", "max_stack_depth", "engine", "control", "admin", "name", "log_level"],
  ]
    .flat()
    .map((name) => [name, name.replaceAll("_", "-")]),
);

export interface MountArguments {
  /** The `-o` string of `sluice mount`. */
  words: string;
  /** Its other options, by their long names without dashes. */
  flags: readonly (readonly [name: string, value: string])[];
  mountpoint: string;
  /** The host service that is to make the mount: "off", "auto" or the path of its socket; undefined if nothing is said. */
  hostService: string | undefined;
  foreground: boolean;
  /** The log file in the background. */
  logFile: string | undefined;
  /** The options of a remount; undefined if it is not one. */
  remount: readonly string[] | undefined;
  /** Notices for people, on standard error, about options that have another effect here. */
  notices: string[];
}

interface Sorted {
  flags: [name: string, value: string][];
  hostService: string | undefined;
  words: string[];
  logFile: string | undefined;
  debug: boolean;
  remount: boolean;
  logLevel: boolean;
}

function nameOf(word: string): string {
  const equals = word.indexOf("=");
  return equals < 0 ? word : word.slice(0, equals);
}

function refusePlugins(word: string): void {
  const value = word.slice(word.indexOf("=") + 1);
  if (nameOf(word) !== "lowerdir" || !/(^|[^\\]:)\/\//.test(value)) return;
  throw new CliError({
    object: `-o ${word}`,
    problem: "a lower layer that begins with // names a plugin of fuse-overlayfs, and Sluice has none",
    errno: "EOPNOTSUPP",
    remedy: "name a directory with one slash",
    exitCode: EXIT.USAGE,
  });
}

function sort(words: readonly string[]): Sorted {
  const sorted: Sorted = {
    flags: [],
    hostService: undefined,
    words: [],
    logFile: undefined,
    debug: false,
    remount: false,
    logLevel: false,
  };
  for (const word of words) {
    const name = nameOf(word);
    const value = word.slice(name.length + 1);
    const flag = FLAGS.get(name);
    const last = sorted.words.at(-1);
    refusePlugins(word);
    if (flag !== undefined) sorted.flags.push([flag, value]);
    else if (name === "log") sorted.logFile = value;
    else if (name === "host_service") sorted.hostService = value;
    else if (name === "debug") sorted.debug = true;
    else if (name === "remount") sorted.remount = true;
    // The manual page of fuse-overlayfs separates ranges by commas.
    else if (/^\d+:\d+:\d+$/.test(word) && last !== undefined && /^[ug]idmapping=/.test(last))
      sorted.words.push(`${sorted.words.pop()}:${word}`);
    else sorted.words.push(word);
    sorted.logLevel ||= name === "log_level";
  }
  return sorted;
}

/** Options for behaviour that fuse-overlayfs has by default and `sluice mount` has not. */
function asDropIn(given: readonly string[], caller: { initialNamespace: boolean; byMount: boolean }): string[] {
  const { initialNamespace, byMount } = caller;
  const names = new Set(given.map(nameOf));
  const words = ["nonempty", ...given];
  // A caller of fuse-overlayfs takes the upper layer for the whole difference (podman makes an image layer of it), and would miss the
  // content of a renamed directory. A caller of mount(8) wants a file system that can rename directories.
  const saysHow = ["userxattr", "redirect_dir", "metacopy"].some((name) => names.has(name));
  // In a user namespace marks are user.* attributes, and there are no redirects.
  if (!byMount && initialNamespace && !saysHow) words.unshift("redirect_dir=off");
  // For marks that fuse-overlayfs and image layers left.
  if (!names.has("foreign_marks")) words.unshift("foreign_marks=on");
  return words;
}

function refuseNoLower(words: readonly string[]): void {
  if (words.some((word) => /^(lowerdir|datadir)\+?=./.test(word))) return;
  throw new CliError({ object: "-o lowerdir", problem: "no lower layer is given", remedy: "add -o lowerdir=DIR", exitCode: EXIT.USAGE });
}

/** overlayfs and fuse-overlayfs accept a work directory without an upper layer, and ignore it. */
function withoutIdleWork(words: readonly string[], notices: string[]): string[] {
  if (words.some((word) => /^upperdir=./.test(word))) return words.slice();
  const left = words.filter((word) => !word.startsWith("workdir=") && word !== "upperdir=");
  if (left.length < words.length) notices.push("workdir= is of no use without upperdir=: the mount is read-only");
  return left;
}

/**
 * @param initialNamespace whether the process is in the initial user namespace, where redirects can be made
 * @throws CliError
 */
export function mountArguments(invocation: MountInvocation, initialNamespace: boolean): MountArguments {
  const notices: string[] = [];
  const sorted = sort(wordsOf(invocation.options));
  if (!sorted.remount) refuseNoLower(sorted.words);
  const words = withoutIdleWork(asDropIn(sorted.words, { initialNamespace, byMount: invocation.byMount }), notices);
  if (invocation.source !== undefined && !words.some((word) => word.startsWith("fsname="))) {
    words.push(`fsname=${invocation.source.replace(/[\\,]/g, "\\$&")}`);
  }
  const debug = invocation.debug || sorted.debug;
  if (!sorted.logLevel) sorted.flags.push(["log-level", debug ? "debug" : "warn"]);
  return {
    words: words.join(","),
    flags: sorted.flags,
    mountpoint: invocation.mountpoint,
    hostService: sorted.hostService,
    foreground: invocation.foreground || debug,
    logFile: sorted.logFile,
    remount: sorted.remount ? sorted.words : undefined,
    notices,
  };
}

/** The command line of `sluice mount` for a mount in a process of its own. */
export function ownProcessArguments({ words, flags, mountpoint }: MountArguments): string[] {
  return ["-o", words, ...flags.map(([name, value]) => `--${name}=${value}`), "--host-service=off", "--", mountpoint];
}
