/** Chooses the engine: the one that the options name, or the portable one if the first cannot mount here. */
import * as devfuse from "@sluice/engine-devfuse";
import * as fuseNative from "@sluice/engine-fuse-native";
import { type EngineCapabilityName, type EngineKind, Errno, FsError } from "@sluice/vfs";
import type { EngineChoice } from "../config/mount-config.js";
import { holdingSignals } from "./hold-signals.js";
import { releasingDeviceFirst } from "./release-device-first.js";

export const ENGINES: Readonly<Record<Exclude<EngineChoice, "auto">, EngineKind>> = {
  devfuse: { name: "devfuse", start: devfuse.startEngine, capabilities: devfuse.engineCapabilities },
  "fuse-native": {
    name: "fuse-native",
    start: (options, makeFilesystem, events) =>
      fuseNative.startEngine(options, makeFilesystem, events, (mount) => releasingDeviceFirst(() => holdingSignals(mount))),
    capabilities: fuseNative.engineCapabilities,
  },
};

/** Errors by which the machine, not the mount, refuses: another engine may still work. */
const REFUSED_BY_MACHINE: ReadonlySet<number> = new Set([Errno.EPERM, Errno.EACCES, Errno.ENODEV, Errno.ENOENT, Errno.ENXIO]);

export interface StartedEngine<T> {
  kind: EngineKind;
  started: T;
}

/**
 * Starts the chosen engine. With "auto", if the machine refuses the first engine, it reports that and tries the portable one; if that fails
 * too, it throws the first error. `start` must leave nothing behind if it throws.
 */
export function startChosen<T>(choice: EngineChoice, start: (kind: EngineKind) => T, tell: (line: string) => void): StartedEngine<T> {
  if (choice !== "auto") return { kind: ENGINES[choice], started: start(ENGINES[choice]) };
  try {
    return { kind: ENGINES.devfuse, started: start(ENGINES.devfuse) };
  } catch (refusal) {
    if (!(refusal instanceof FsError) || !REFUSED_BY_MACHINE.has(refusal.errno)) throw refusal;
    return startInstead(refusal, start, tell);
  }
}

function startInstead<T>(refusal: FsError, start: (kind: EngineKind) => T, tell: (line: string) => void): StartedEngine<T> {
  const kind = ENGINES["fuse-native"];
  try {
    const started = start(kind);
    tell(`engine fuse-native is used, as devfuse cannot run here: ${refusal.message}`);
    return { kind, started };
  } catch (second) {
    if (!(second instanceof FsError)) throw second;
    tell(`engine fuse-native cannot run here either: ${second.message}`);
    throw refusal;
  }
}

/** The capabilities that the engine lacks, by name, with the reason. */
export function limitsOf(kind: EngineKind): Record<string, string> {
  const limits: Record<string, string> = {};
  for (const [name, capability] of Object.entries(kind.capabilities)) if (!capability.has) limits[name] = capability.why;
  return limits;
}

/** A notice for the person who mounts. Undefined for the default engine. */
export function engineNotice(kind: EngineKind): string | undefined {
  if (kind.name === "devfuse") return undefined;
  const lacks = (name: EngineCapabilityName): boolean => !kind.capabilities[name].has;
  const words: string[] = [];
  if (lacks("passthrough")) words.push("every open is mediated");
  if (lacks("callerIdentity")) words.push("new files belong to the daemon's user");
  if (lacks("keeper") && lacks("upgrade")) words.push("no keeper and no upgrade with this engine");
  return `engine ${kind.name}: ${words.join("; ")}; 'sluice status --json' lists all limits`;
}
