/**
 * Acts with the rights of the user who had a mount made: fsuid, fsgid and groups, without capabilities. The kernel then decides as if the
 * user had made the call.
 */
import { CAP, capabilityMask, native } from "@sluice/native";
import type { PlanCaller } from "../mount-plan.js";

type Rights = Pick<PlanCaller, "uid" | "gid" | "groups">;

const PRIVATE_UMASK = 0o077;
/** The kernel demands it of a process that registers a backing file (fs/fuse/backing.c). */
const REGISTERING = capabilityMask(CAP.SYS_ADMIN);
const OPENING = capabilityMask(CAP.DAC_READ_SEARCH);

function within(rights: Rights, capabilities: bigint, act: () => number): number {
  const status = native.asCaller(rights.uid, rights.gid, PRIVATE_UMASK, rights.groups);
  if (status < 0) return status;
  try {
    const dropped = native.setEffectiveCapabilities(capabilities);
    return dropped < 0 ? dropped : act();
  } finally {
    native.asDaemon();
  }
}

/** @returns the result of `act`, which waits for nothing; or the negative errno if the rights cannot be taken */
export function asCaller(rights: Rights, act: () => number): number {
  return within(rights, 0n, act);
}

/** The same with the right to read and search everything, for objects of the user. */
export function asOwner(rights: Rights, act: () => number): number {
  return within(rights, OPENING, act);
}

/**
 * Registers a backing file. The kernel keeps the credentials of this call for the file's I/O, so quotas and reserved blocks hold as for the
 * user's own. @returns a backing id, or the negative errno
 */
export function registerAsCaller(rights: Rights, fuseFd: number, fd: number): number {
  return within(rights, REGISTERING, () => native.backingOpenWithoutFsetid(fuseFd, fd));
}
