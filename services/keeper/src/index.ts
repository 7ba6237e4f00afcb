/** The process that holds what must outlive the server of a mount, and that alone needs the privilege to mount. */
export { leave } from "./setup.js";
export { runKeeper } from "./run-keeper.js";
export { runAwaitingKeeper } from "./run-awaiting-keeper.js";
export type { AwaitingConfig, KeeperConfig } from "./keeper-config.js";
export { SERVER_FDS } from "./keeper-config.js";
