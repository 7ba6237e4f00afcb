/** Parts of the `sluice` command for the commands of packages/overlayfs-cli: `sluice mount`, and the embedded decision service. */
export { addMountCommand } from "./commands/mount-command.js";
export { EmbeddedDecisions } from "./embedded/start-embedded-decision.js";
