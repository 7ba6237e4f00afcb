/** The capabilities of this engine. Missing ones are not built, or not negotiated on purpose: see init.ts. */
import type { EngineCapabilities } from "@sluice/vfs";

const has = { has: true } as const;

export const engineCapabilities: EngineCapabilities = {
  passthrough: has,
  callerIdentity: has,
  notifications: has,
  interrupt: has,
  inode64: has,
  nanosecondTimes: has,
  singleTime: has,
  emptyChown: has,
  handleSurvivesUnlink: has,
  handleSurvivesDirectory: has,
  atomicReplace: has,
  hardLinksShareInode: has,
  renameFlags: has,
  createFlags: has,
  fallocate: has,
  seekHole: has,
  copyFileRange: has,
  tmpfile: has,
  ioctl: has,
  syncfs: has,
  posixAcl: has,
  suidAndDevices: has,
  clearsPrivileges: has,
  byteNames: has,
  cachePerOpen: has,
  // With --keeper on; the status of a mount tells whether it has one.
  keeper: has,
  upgrade: has,
};
