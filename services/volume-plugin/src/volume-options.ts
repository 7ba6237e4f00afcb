/** The options of `docker volume create -o KEY=VALUE`, and their translation to the command line of `sluice mount`. */
import { statSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";

export type VolumeOptions = Readonly<Record<string, string>>;

/** An error for the user who typed the option: Docker shows it as it is. */
export class VolumeError extends Error {
  override readonly name = "VolumeError";
}

/** Options of `sluice mount` by the same name, all with a value. */
const PASSED_ON = [
  "policy",
  "decision",
  "decision-ca",
  "decision-cert",
  "decision-key",
  "decision-server-san",
  "decision-timeout",
  "on-outage",
  "on-revoke",
  "stale-for",
  "max-stack-depth",
  "locks",
  "log-level",
] as const;
/** Those without one there: true or false here. */
const FLAGS = ["coherent-readers", "shared-lower"] as const;
const FILES = new Set(["policy", "decision-ca", "decision-cert", "decision-key"]);
const ALL = ["lower", "upper", "work", ...FLAGS, ...PASSED_ON];
/** As Docker itself has it. It becomes a directory's name. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** The host's `path` as this process reaches it. `host`: the host's root directory; "/" if it is our own. */
function onHost(host: string, path: string): string {
  return host === "/" ? path : join(host, normalize(path));
}

const UNIX = "unix://";
/** The same of a gRPC target, or several: sockets are files, too. */
function targetOnHost(host: string, target: string): string {
  const one = (each: string): string => (each.startsWith(`${UNIX}/`) ? `${UNIX}${onHost(host, each.slice(UNIX.length))}` : each);
  return target.split(",").map(one).join(",");
}

function checkPath(key: string, path: string, { wanted, host }: { wanted: "directory" | "file"; host: string }): void {
  if (!isAbsolute(path))
    throw new VolumeError(`option ${key}: '${path}' is not absolute: the plugin has another working directory than you`);
  const stat = statSync(onHost(host, path), { throwIfNoEntry: false });
  if (stat === undefined) throw new VolumeError(`option ${key}: ${path}: there is no such ${wanted} (ENOENT): create it`);
  if (wanted === "directory" && !stat.isDirectory()) throw new VolumeError(`option ${key}: ${path}: it is not a directory (ENOTDIR)`);
}

/** The parts of a list with ':' between, where "\:" is one of a name and stays so. */
function lowersOf(list: string): string[] {
  return list.split(/(?<!\\):/);
}

function checkLayers({ lower, upper, work }: VolumeOptions, host: string): void {
  const wanted = { wanted: "directory", host } as const;
  if (lower === undefined || lower === "") throw new VolumeError("option lower is missing: write -o lower=/DIRECTORY[:/DIRECTORY…]");
  for (const part of lowersOf(lower)) checkPath("lower", nameOf(part), wanted);
  if (upper === "auto") {
    if (work !== undefined) throw new VolumeError("option work: with upper=auto the plugin makes both: leave it out");
    return;
  }
  if ((upper === undefined) !== (work === undefined)) {
    throw new VolumeError(
      `option ${upper === undefined ? "upper" : "work"} is missing: upper and work belong together, on one file system; or write -o upper=auto`,
    );
  }
  if (upper !== undefined && work !== undefined) {
    checkPath("upper", upper, wanted);
    checkPath("work", work, wanted);
  }
}

const nameOf = (part: string): string => part.replaceAll("\\:", ":");

/** The path as this process reaches it. */
export function topmostLower({ lower = "" }: VolumeOptions, host: string): string {
  return onHost(host, nameOf(lowersOf(lower)[0] ?? ""));
}

/** `host` as in `onHost`. @throws VolumeError. Errors that only `sluice mount` can detect appear at the first use of the volume. */
export function checkVolume(name: string, options: VolumeOptions, host: string): void {
  if (!NAME.test(name)) throw new VolumeError(`'${name}' is no name for a volume: letters, digits, '_', '.' and '-', at most 128`);
  for (const key of Object.keys(options)) {
    if (!ALL.includes(key)) throw new VolumeError(`'${key}' is not an option: there are ${ALL.join(", ")}`);
  }
  checkLayers(options, host);
  for (const key of FILES) if (options[key] !== undefined) checkPath(key, options[key], { wanted: "file", host });
  if (options["policy"] !== undefined && options["decision"] !== undefined)
    throw new VolumeError("option policy: it excludes decision: give one of them");
  for (const key of FLAGS) {
    const value = options[key];
    if (value !== undefined && value !== "true" && value !== "false")
      throw new VolumeError(`option ${key}: '${value}' is neither true nor false`);
  }
}

/** The paths of a volume, below the plugin's directory. */
export interface VolumePaths {
  mountpoint: string;
  upper: string;
  work: string;
  log: string;
}

export const volumesDirectory = (root: string): string => join(root, "volumes");

export function pathsOf(root: string, name: string): VolumePaths {
  const own = join(volumesDirectory(root), name);
  return { mountpoint: join(own, "merged"), upper: join(own, "upper"), work: join(own, "work"), log: join(own, "log") };
}

/** Arguments of `sluice`. `host` as in `onHost`; the paths are ours. */
export function mountArguments(name: string, options: VolumeOptions, paths: VolumePaths, host: string): string[] {
  const here = (path: string): string => onHost(host, path);
  const own = options["upper"] === "auto";
  const upper = own ? paths.upper : options["upper"] && here(options["upper"]);
  const work = own ? paths.work : options["work"] && here(options["work"]);
  const layers = upper === undefined || work === undefined ? [] : ["--upper", upper, "--work", work];
  const valueOf = (key: string, value: string): string => {
    if (key === "decision") return targetOnHost(host, value);
    return FILES.has(key) ? here(value) : value;
  };
  const passed = PASSED_ON.flatMap((key) => (options[key] === undefined ? [] : [`--${key}`, valueOf(key, options[key])]));
  const flags = FLAGS.filter((key) => options[key] === "true").map((key) => `--${key}`);
  const lowers = lowersOf(options["lower"] ?? "")
    .map(here)
    .join(":");
  return [
    "mount",
    "--background",
    "--log-file",
    paths.log,
    "--name",
    name,
    "--lower",
    lowers,
    ...layers,
    ...passed,
    ...flags,
    paths.mountpoint,
  ];
}
