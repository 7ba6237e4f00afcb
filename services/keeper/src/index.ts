/** The process that holds what must outlive the server of a mount, and that alone needs the privilege to mount. */
export { leave } from "./ground.js";
export { keep } from "./keep.js";
export { keepForServers } from "./keep-for-servers.js";
export type { AwaitingConfig, KeeperConfig } from "./keeper-config.js";
export { SERVER_FDS } from "./keeper-config.js";
