/** The Docker volume plugin: volumes that are Sluice mounts, each made and ended by the `sluice` command. */
export { addVolumePluginCommand } from "./volume-plugin-command.js";
