/** The Docker volume plugin: volumes that are Sluice mounts, each made and ended by the `sluice` command. */
export { serveVolumes, type VolumePluginFlags } from "./serve-volumes.js";
export type { SluiceCommand } from "./sluice-command.js";
