/** The contract of a host service, one process that serves many mounts: generated code, the form of its errors, and a client. */
export { errorOf, failureOf, NeedsOwnProcess } from "./failure.js";
export { endThrough, HostUnreachable, mountsOf, mountThrough, type MountFollower } from "./host-client.js";
export { HOST_SOCKET, ownMountNamespace } from "./host-socket.js";
export * as wire from "./gen/sluice/host/v1/host.js";
