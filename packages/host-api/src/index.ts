/** The contract of a host service, one process that serves many mounts: generated code, the form of its errors, and a client. */
export { errorOf, failureOf, HostUnreachable, NeedsOwnProcess } from "./failure.js";
export { endThrough, mountsOf, mountThrough } from "./host-client.js";
export type { MountFollower } from "./mount-follower.js";
export { HOST_SOCKET, ownMountNamespace } from "./host-socket.js";
export * as wire from "./gen/sluice/host/v1/host.js";
