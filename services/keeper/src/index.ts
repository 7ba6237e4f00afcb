/** The keeper: the process that holds the resources which outlive a mount's server. It alone needs the privilege to mount. */
export { leave } from "./setup.js";
export { rehearseKeeper, runKeeper } from "./run-keeper.js";
export { runHostKeeper } from "./run-host-keeper.js";
export { runAwaitingKeeper } from "./run-awaiting-keeper.js";
export type { AwaitingConfig, HostKeeperConfig, KeeperConfig } from "./keeper-config.js";
export { SERVER_FDS } from "./keeper-config.js";
export { UnassignedServer } from "./unassigned-server.js";
