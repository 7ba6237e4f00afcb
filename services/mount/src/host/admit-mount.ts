/** Refuses mounts that a process with other mounts cannot serve. */
import { existsSync, realpathSync } from "node:fs";
import { join, relative } from "node:path";
import { NeedsOwnProcess } from "@sluice/host-api";
import { alreadyMounted, isBeneath, readMountTable } from "@sluice/mount-control";
import { unfit, wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { filesOf } from "../preflight/check-mountpoint.js";
import { placeOnWay, placesOf } from "./own-paths.js";

const OWN = "leave it out, or mount with --host-service off";

function refused(option: string, problem: string): NeedsOwnProcess {
  return new NeedsOwnProcess(wrong(option, problem, OWN));
}

function refuseOptions(config: MountConfig, hasKeeper: boolean): void {
  if (config.keeper === "on" && !hasKeeper) throw refused("--keeper on", "the host service has no keeper (start it with --keeper on)");
  if (config.user !== undefined) throw refused("--user", "the host service serves every user");
  if (config.privilege === "strict") throw refused("--privilege strict", "the host service has the privilege for its other mounts");
  if (config.engine === "fuse-native") throw refused("--engine fuse-native", "the host service serves by the engine devfuse alone");
  if (config.transport === "uring") throw refused("--transport uring", "waiting in one mount's ring would delay the host service's others");
  if (config.idlePolling === "on") throw refused("--idle-polling on", "the host service polls only while it has a single mount");
}

type Roled = [role: string, path: string | undefined];

function layersOf({ lowers, dataLowers, upper, work }: MountConfig): Roled[] {
  return [...[...lowers, ...dataLowers].map((path): Roled => ["lower layer", path]), ["upper layer", upper], ["work directory", work]];
}

function pathsOf(config: MountConfig): Roled[] {
  const { layersBeneath, recordBase, activityFile, decisionLog, decision } = config;
  return [
    ...(layersBeneath === undefined ? layersOf(config) : [["directory above the layers", layersBeneath] satisfies Roled]),
    ...filesOf(config),
    ["record of the base", recordBase],
    ["file of the activity", activityFile],
    ["decision log", decisionLog],
    ["file of answers", decision.kind === "embedded" ? decision.answersFile : undefined],
  ];
}

/** `which` mount the other one is, for a person. */
function onOther(path: string, relation: string, { other, which }: { other: string; which: string }): NeedsOwnProcess {
  const problem = `${relation} the mount ${other}, ${which} (EDEADLK)`;
  return new NeedsOwnProcess(unfit(path, problem, "name another one, or mount with --host-service off"));
}

/** Below `layersBeneath` the mount follows no link, so the text of a path tells the mounts on it. A walk could be led into one meanwhile. */
function refuseBeneath(config: MountConfig, places: ReadonlySet<string>, which: string): void {
  const { layersBeneath } = config;
  if (layersBeneath === undefined || !existsSync(layersBeneath)) return;
  const root = realpathSync.native(layersBeneath);
  for (const [role, path] of layersOf(config)) {
    if (path === undefined) continue;
    const real = join(root, relative(layersBeneath, path));
    const place = [...places].find((each) => isBeneath(real, each));
    if (place !== undefined) throw onOther(path, `the ${role} lies on`, { other: place, which });
  }
}

export interface Hosting {
  /** The mount points of this process's other mounts, and of those for which it must not wait either. */
  others: readonly string[];
  /** No other process serves mounts of the same service. */
  isAlone: boolean;
  /** A keeper holds the mounts of this process. */
  hasKeeper: boolean;
}

/** @throws NeedsOwnProcess or CliError */
export function admitMount(config: MountConfig, { others, isAlone, hasKeeper }: Hosting): void {
  refuseOptions(config, hasKeeper);
  if (others.length === 0) return;
  const places = placesOf(others, readMountTable());
  const which = isAlone ? "which the same host service serves" : "which Sluice serves, too";
  const at = placeOnWay(config.mountpoint, places);
  if (at?.beyond === false && others.includes(at.place)) throw alreadyMounted(config.mountpoint);
  for (const [role, path] of [["mount point", config.mountpoint] as const, ...pathsOf(config)]) {
    const on = path === undefined ? undefined : placeOnWay(path, places);
    if (on !== undefined && path !== undefined) throw onOther(path, `the ${role} lies on`, { other: on.place, which });
  }
  refuseBeneath(config, places, which);
  // The other one is unmounted by its path, which would lead into this one.
  const covered = others.find((other) => isBeneath(other, config.mountpoint));
  if (covered !== undefined) throw onOther(config.mountpoint, "the mount point lies above", { other: covered, which });
}
