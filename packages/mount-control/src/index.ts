/** How a command finds a mount and talks to its server: the kernel's mount table, run directories, the control socket's protocol and client. */
export * from "./activity-file.js";
export { askLayers, type MountLayers } from "./ask-layers.js";
export {
  ask,
  askOnce,
  connectControl,
  connectKeeper,
  connectWatch,
  daemonStatus,
  EndedDaemon,
  noDaemon,
  SilentDaemon,
  untilFreed,
} from "./control-client.js";
export * from "./control-protocol.js";
export { removeDeadDirectoriesLater } from "./dead-directories.js";
export { splitEscaped, unescapeName } from "./escaped-list.js";
export { type LowerList, MAX_LOWERS, parseLowerList } from "./lower-list.js";
export { checkNoKernelOverlay, kernelWriters } from "./kernel-overlays.js";
export { keepMountTable } from "./kept-mount-table.js";
export { isBeneath, type MountRow, mountAt, mountOf, mountTableText, readMountTable } from "./mount-table.js";
export { ownPath } from "./own-path.js";
export { parseRequest } from "./parse-request.js";
export { descriptorOf, peerOf } from "./peer.js";
export {
  alreadyMounted,
  CONTROL_SOCKET,
  DECISION_UIDS,
  giveRunDirectory,
  KEEPER_SOCKET,
  KEPT_POLICY,
  makeRunDirectory,
  MAX_SOCKET_PATH_BYTES,
  mountedMeanwhile,
  mountInTurn,
  realMountpoint,
  removeRunDirectories,
  RUN_DIRECTORY,
  type RunDirectory,
  runDirectories,
  SHARED_KEEPER_SOCKET,
} from "./run-directory.js";
export { type ServerInterval, takenTogether } from "./server-seconds.js";
export { noSluiceMount, SLUICE_TYPE } from "./no-mount.js";
