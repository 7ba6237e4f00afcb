/** All checks that need no mount, in the order that is most useful to a person. */
import type { MountConfig } from "../config/mount-config.js";
import { checkCalls } from "./check-calls.js";
import { checkDecisionFiles } from "./check-decision-files.js";
import { checkLabels } from "./check-labels.js";
import { checkLayers, type LayerPlaces } from "./check-layers.js";
import { type CapabilityName, checkMachine, mountRemedy, requiredCapabilities } from "./check-machine.js";
import { checkEmpty, checkNothingBeneath, resolveMountpoint } from "./check-mountpoint.js";
import { LayersBeneath } from "./layers-beneath.js";
import { type Tell, toStandardError } from "./tell.js";
import { readMountTable } from "@sluice/mount-control";

export interface PreflightOptions {
  /** Capabilities, if not those of a whole mount. */
  needed?: readonly CapabilityName[] | undefined;
  /** The checks run with the rights of a user, for whom another process mounts. */
  forUser?: boolean;
  tell?: Tell;
}

/** @returns the configuration with every path resolved. @throws CliError at the first problem */
export function preflight(config: MountConfig, { needed, forUser = false, tell = toStandardError }: PreflightOptions = {}): MountConfig {
  if (!forUser) checkCalls({ writable: config.upper !== undefined, keeper: config.keeper === "on" });
  const engine = checkLabels(config);
  const table = readMountTable();
  const mountpoint = resolveMountpoint(config.mountpoint, table, tell);
  const beneath = config.layersBeneath === undefined ? undefined : new LayersBeneath(config.layersBeneath);
  let layers: LayerPlaces;
  try {
    layers = checkLayers(config, table, { beneath, tell });
  } finally {
    beneath?.close();
  }
  checkNothingBeneath(config, mountpoint, layers);
  checkDecisionFiles(config);
  if (!config.nonEmpty) checkEmpty(mountpoint);
  if (!forUser) checkMachine(needed ?? requiredCapabilities(config.upper !== undefined), mountRemedy());
  return {
    ...config,
    engine,
    mountpoint,
    lowers: layers.lowers.map((place) => place.real),
    dataLowers: layers.dataLowers.map((place) => place.real),
    upper: layers.upper?.real,
    work: layers.work?.real,
    layersBeneath: beneath?.root,
    checkedLayers: beneath?.identities,
  };
}
