/** Every check that needs no mount, in the order in which a person would want to hear of it. */
import type { MountConfig } from "../config/mount-config.js";
import { checkDecisionFiles } from "./check-decision-files.js";
import { checkLabels } from "./check-labels.js";
import { checkLayers } from "./check-layers.js";
import { type CapabilityName, checkMachine, requiredCapabilities } from "./check-machine.js";
import { checkEmpty, checkNothingBeneath, resolveMountpoint } from "./check-mountpoint.js";
import { readMountTable } from "@sluice/mount-control";

/** The configuration with every path resolved. `needed`: other capabilities than a whole mount needs. Throws the first complaint, a CliError. */
export function preflight(config: MountConfig, needed?: readonly CapabilityName[]): MountConfig {
  const engine = checkLabels(config);
  const table = readMountTable();
  const mountpoint = resolveMountpoint(config.mountpoint, table);
  const layers = checkLayers(config, table);
  checkNothingBeneath(config, mountpoint, layers);
  checkDecisionFiles(config);
  if (!config.nonEmpty) checkEmpty(mountpoint);
  checkMachine(needed ?? requiredCapabilities(config.upper !== undefined));
  return {
    ...config,
    engine,
    mountpoint,
    lowers: layers.lowers.map((place) => place.real),
    dataLowers: layers.dataLowers.map((place) => place.real),
    upper: layers.upper?.real,
    work: layers.work?.real,
  };
}
